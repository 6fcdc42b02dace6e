"""The records of the control topic: key `kind/tenant/id`, value one JSON object; a tombstone deletes.

Fields may be added if they have a default; a reader ignores those that it does not know. Times are ms since 1970, ids
random whole numbers of 53 bits, so that two gateways never make the same one and JavaScript can hold them.

Two kinds stand there, too, that no gateway keeps: entries of the audit log (audit_entry.py), and the prices of models,
which are of no tenant (contract/price_records.py).
"""

from __future__ import annotations

from enum import StrEnum
from secrets import randbits
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from axonstream.contract.deletion import Deletion
from axonstream.event_contract import MAX_ID, MAX_TIME_MS
from axonstream.gateway.control.origins import read_origin

AnId = Annotated[int, Field(ge=0, le=MAX_ID)]
ATime = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
AnOrigin = Annotated[str, AfterValidator(read_origin)]
ADigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Kind(StrEnum):
    """What a record is about. A channel made by publishing is told apart: one made on purpose stands above it."""

    APP = "app"
    CHANNEL = "channel"
    PUBLISHED_CHANNEL = "published-channel"
    WEBHOOK = "webhook"
    KEY = "key"
    KEY_USE = "key-use"
    DELETION = "deletion"


@dataclass(frozen=True, slots=True)
class App:
    """A group of channels."""

    id: AnId
    name: str
    created_at: ATime
    updated_at: ATime


@dataclass(frozen=True, slots=True)
class Channel:
    """What events are published to."""

    id: AnId
    app_id: AnId
    name: str
    created_at: ATime
    updated_at: ATime


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where the events of a channel are to be sent; no `event_types` are all. `sealed_secret` is encrypted."""

    id: AnId
    channel_id: AnId
    url: str
    event_types: tuple[str, ...]
    description: str
    active: bool
    sealed_secret: str
    created_at: ATime
    updated_at: ATime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without the key: `digest` is its HMAC in hex, under a key of the server secret that `secret_id` tells.

    `origins` are of the web pages that may use a public one; records of earlier versions have none.
    """

    id: AnId
    digest: ADigest
    secret_id: str
    name: str
    creator: str
    scopes: tuple[str, ...]
    public: bool
    created_at: ATime
    expires_at: ATime | None = None
    origins: tuple[AnOrigin, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When a key was used last, to the minute."""

    id: AnId
    at: ATime


Contents = App | Channel | WebhookEndpoint | ApiKey | KeyUse | Deletion
_FORMS: dict[Kind, TypeAdapter[Contents]] = {
    Kind.APP: TypeAdapter(App),
    Kind.CHANNEL: TypeAdapter(Channel),
    Kind.PUBLISHED_CHANNEL: TypeAdapter(Channel),
    Kind.WEBHOOK: TypeAdapter(WebhookEndpoint),
    Kind.KEY: TypeAdapter(ApiKey),
    Kind.KEY_USE: TypeAdapter(KeyUse),
    Kind.DELETION: TypeAdapter(Deletion),
}


class ControlRecordError(ValueError):
    """A record that is none of ours; the message says why."""


class Place(NamedTuple):
    """What a record is about: the key on Kafka. A tenant may hold a slash, a kind and an id do not."""

    kind: Kind
    tenant_id: str
    id: int


class ControlRecord(NamedTuple):
    """One write; `contents` None deletes."""

    place: Place
    contents: Contents | None


def new_id() -> int:
    """A random id of 53 bits, never one of the small numbers that people choose themselves."""
    return randbits(52) | (1 << 52)


def encode_record(record: ControlRecord) -> tuple[bytes, bytes | None]:
    """Key and value for Kafka."""
    kind, tenant_id, number = record.place
    value = None if record.contents is None else _FORMS[kind].dump_json(record.contents)
    return f"{kind}/{tenant_id}/{number}".encode(), value


def decode_record(key: bytes | None, value: bytes | None) -> ControlRecord:
    """The record of a key and a value: one that nobody who reads `ControlData` fails on. Raises ControlRecordError."""
    try:
        kind, _, rest = (key or b"").decode().partition("/")
        tenant_id, _, number = rest.rpartition("/")
        place = Place(Kind(kind), tenant_id, int(number))
        if not tenant_id or str(place.id) != number or not 0 <= place.id <= MAX_ID:
            raise ValueError("the key is not kind/tenant/id")
        contents = None if value is None else _FORMS[place.kind].validate_json(value)
        if contents is not None and contents.id != place.id:
            raise ValueError(f"it is at {place.id} and calls itself {contents.id}")
        return ControlRecord(place, contents)
    except (ValueError, ValidationError) as error:
        raise ControlRecordError(f"{key!r:.100}: {str(error).splitlines()[0]}") from None

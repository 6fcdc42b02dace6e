"""The records of the control topic: key `kind/tenant/id`, value one JSON object; a tombstone deletes.

Fields may be added if they have a default; a reader ignores those that it does not know. Times are ms since 1970, ids
random whole numbers of 53 bits, so that two gateways never make the same one and JavaScript can hold them.
"""

from __future__ import annotations

from enum import StrEnum
from secrets import randbits
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass


class Kind(StrEnum):
    """What a record is about. A channel made by publishing is told apart: one made on purpose stands above it."""

    APP = "app"
    CHANNEL = "channel"
    PUBLISHED_CHANNEL = "published-channel"
    WEBHOOK = "webhook"
    KEY = "key"
    KEY_USE = "key-use"


@dataclass(frozen=True, slots=True)
class App:
    """A group of channels."""

    id: int
    name: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Channel:
    """What events are published to."""

    id: int
    app_id: int
    name: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where the events of a channel are to be sent; no `event_types` are all. `sealed_secret` is encrypted."""

    id: int
    channel_id: int
    url: str
    event_types: tuple[str, ...]
    description: str
    active: bool
    sealed_secret: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without the key: `digest` is its HMAC in hex, under the server secret that `secret_id` tells."""

    id: int
    digest: str
    secret_id: str
    name: str
    creator: str
    scopes: tuple[str, ...]
    public: bool
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When a key was used last, to the minute."""

    id: int
    at: int


Contents = App | Channel | WebhookEndpoint | ApiKey | KeyUse
_FORMS: dict[Kind, TypeAdapter[Contents]] = {
    Kind.APP: TypeAdapter(App),
    Kind.CHANNEL: TypeAdapter(Channel),
    Kind.PUBLISHED_CHANNEL: TypeAdapter(Channel),
    Kind.WEBHOOK: TypeAdapter(WebhookEndpoint),
    Kind.KEY: TypeAdapter(ApiKey),
    Kind.KEY_USE: TypeAdapter(KeyUse),
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
    """The record of a key and a value. Raises ControlRecordError."""
    try:
        kind, _, rest = (key or b"").decode().partition("/")
        tenant_id, _, number = rest.rpartition("/")
        place = Place(Kind(kind), tenant_id, int(number))
        return ControlRecord(place, None if value is None else _FORMS[place.kind].validate_json(value))
    except (ValueError, ValidationError) as error:
        raise ControlRecordError(f"{key!r:.100}: {str(error).splitlines()[0]}") from None

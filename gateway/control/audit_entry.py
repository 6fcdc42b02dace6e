"""One entry of the audit log: who did what to which object, from where and when, and what it was before and after.

It stands on the control topic under a key of its own, so that compaction keeps it, and no gateway decodes it. Gateways
of the version before leave it out with a line in their log, as every kind that they do not know. No entry holds a
secret: of a key its id, of a webhook URL scheme, host and port.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from axonstream.contract.prices import Price
from axonstream.event_contract import MAX_ID, MAX_TIME_MS
from axonstream.gateway.control.records import ApiKey, App, Channel, ControlRecordError, WebhookEndpoint, new_id
from axonstream.gateway.control.shown_url import shown_url

DELIBERATE, PUBLISHED = b"audit/", b"audit-published/"  # kept apart: a publisher cannot push out what people did
MOST_SHOWN = 100  # ids in one entry; their number is always told
_MOST_TEXT = 256


class Action(StrEnum):
    """What is entered; refused attempts are not."""

    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    APP_CREATE = "app.create"
    APP_CHANGE = "app.change"
    APP_DELETE = "app.delete"
    CHANNEL_CREATE = "channel.create"
    CHANNEL_PUBLISH = "channel.publish"  # made by publishing to it
    CHANNEL_CHANGE = "channel.change"
    CHANNEL_DELETE = "channel.delete"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_DEACTIVATE = "webhook.deactivate"
    TRACES_DELETE = "traces.delete"
    PRICES_SET = "prices.set"
    PRICES_REMOVE = "prices.remove"
    PRICES_IMPORT = "prices.import"
    DEAD_LETTERS_REPLAY = "dead-letters.replay"
    DEAD_LETTERS_DISCARD = "dead-letters.discard"


class Actor(NamedTuple):
    """Who, as `key 4711`, `static key 1a2b3c4d` or `user ana`; and from where, as `10.1.2.3` or `host build-7`.

    The address is that of the connection: behind a proxy the proxy's. What a client says of itself is not trusted.
    """

    who: str
    origin: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`at` is ms since 1970 by the clock of who wrote it; `tenant_id` is '' for what concerns no single tenant.

    `claimed_tenants` are those that dead letters say they are of. A later version may know more actions.
    """

    id: Annotated[int, Field(ge=0, le=MAX_ID)]
    at: Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
    tenant_id: str
    action: str
    subject: str
    who: str
    origin: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    claimed_tenants: tuple[str, ...] = ()


_FORM = TypeAdapter(AuditEntry)


def entry(
    actor: Actor,
    action: Action,
    subject: str,
    *,
    at: int,
    tenant_id: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    claimed_tenants: Sequence[str] = (),
) -> AuditEntry:
    """A new entry, not yet written."""
    return AuditEntry(
        id=new_id(),
        at=at,
        tenant_id=tenant_id,
        action=action,
        subject=subject,
        who=actor.who,
        origin=actor.origin,
        before=before,
        after=after,
        claimed_tenants=tuple(claimed_tenants),
    )


def shown(contents: App | Channel | WebhookEndpoint | ApiKey | Price) -> dict[str, Any]:
    """The fields of an object as the audit log has them: short, and without what is secret."""
    match contents:
        case App():
            return {"name": contents.name}
        case Channel():
            return {"name": contents.name, "app_id": contents.app_id}
        case WebhookEndpoint():
            return {
                "channel_id": contents.channel_id,
                "url": _cut(shown_url(contents.url)),
                "event_types": _cut(" ".join(contents.event_types)),
                "description": _cut(contents.description),
                "active": contents.active,
                "has_secret": bool(contents.sealed_secret),
            }
        case ApiKey():
            return {
                "name": contents.name,
                "creator": contents.creator,
                "scopes": list(contents.scopes),
                "public": contents.public,
                "origins": list(contents.origins),
                "created_at": contents.created_at,
                "expires_at": contents.expires_at,
            }
        case Price():
            amounts = ", ".join(f"{kind} {usd}" for kind, usd in contents.amounts().items())
            return {"usd_per_million_tokens": amounts or "no price"}


def is_entry(key: bytes | None) -> bool:
    """Whether a key of the control topic is one of an entry."""
    return key is not None and key.startswith((DELIBERATE, PUBLISHED))


def encode_entry(one: AuditEntry) -> tuple[bytes, bytes]:
    """Key and value for Kafka."""
    kind = PUBLISHED if one.action == Action.CHANNEL_PUBLISH else DELIBERATE
    return kind + f"{one.tenant_id}/{one.id}".encode(), _FORM.dump_json(one)


def decode_entry(key: bytes, value: bytes) -> AuditEntry:
    """Raises ControlRecordError for what no version wrote."""
    try:
        return _FORM.validate_json(value)
    except ValidationError as error:
        raise ControlRecordError(f"{key!r:.100}: {str(error).splitlines()[0]}") from None


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"

"""The Kafka record of an event: one JSON object, encoded once, from a validated EventInput.

Payload and metadata keep the sender's bytes when those are handed in, so that 2**70, 1.0 and null come back as they
were.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from axonstream import wire_json
from axonstream.amounts import amount_text
from axonstream.event_contract import EventInput, event_id_of
from axonstream.event_fields import OPTIONAL_IN_RECORD, RARE

SCHEMA_VERSION = 1
_NAMES = tuple(field.name for field in OPTIONAL_IN_RECORD)
_RARE = frozenset(field.name for field in RARE)
_USUAL = tuple(name for name in _NAMES if name not in _RARE)


class EventRecord(NamedTuple):
    """What was put on Kafka for one event; `value` is the record's bytes, times are ms since 1970."""

    event_id: int
    trace_id: str
    occurred_at: int
    received_at: int
    value: bytes


def encode_event(
    event: EventInput,
    *,
    tenant_id: str,
    trace_id: str,
    fresh_id: int,
    now_ms: int,
    payload: bytes | None = None,
    metadata: bytes | None = None,
    source: str = "app",
) -> EventRecord:
    """Encode `event` for Kafka.

    `trace_id` stands in for the event's own (which may be missing); `fresh_id` is used when the event has no
    dedup key; `payload` and `metadata` are the sender's bytes where they are at hand.
    """
    event_id = event_id_of(tenant_id, trace_id, event.dedup_key) if event.dedup_key else fresh_id
    occurred_at = now_ms if event.occurred_at is None else event.occurred_at
    fields: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "tenant_id": tenant_id,
        "event_id": event_id,
        "trace_id": trace_id,
        "channel_id": event.channel_id,
        "event_type": event.event_type,
        "identifier": event.identifier,
        "occurred_at": occurred_at,
        "received_at": now_ms,
        "source": source,
    }
    values = vars(event)  # this runs for every event: attributes of a model take longer
    for name in _USUAL if _RARE.isdisjoint(event.__pydantic_fields_set__) else _NAMES:
        if (value := values[name]) is not None and value != "":
            fields[name] = value
    fields["payload"] = orjson.Fragment(wire_json.encode(event.payload) if payload is None else payload)
    if event.metadata is not None:
        fields["metadata"] = orjson.Fragment(wire_json.encode(event.metadata) if metadata is None else metadata)
    return EventRecord(event_id, trace_id, occurred_at, now_ms, orjson.dumps(fields, default=_text_of))


def _text_of(value: object) -> str:
    """Of an amount: the only value of an event that is not JSON."""
    if isinstance(value, Decimal):
        return amount_text(value)
    raise TypeError(f"{type(value).__name__} is no value of an event")

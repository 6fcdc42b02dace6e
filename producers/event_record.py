"""The Kafka record of an event: one JSON object, encoded once, from a validated EventInput.

Payload and metadata keep the sender's bytes when those are handed in, so that 2**70, 1.0 and null come back as they
were.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from axonstream.event_contract import EventInput, event_id_of

SCHEMA_VERSION = 1
OPTIONAL_NAMES = ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What was put on Kafka for one event; `value` is the record's bytes, times are ms since 1970."""

    event_id: int
    trace_id: str
    occurred_at: int
    received_at: int
    value: bytes


def encode_json(value: Any) -> bytes:
    """Compact JSON; integers of over 64 bits are kept whole. NaN and infinity become null, as JSON has neither."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


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
    for name in OPTIONAL_NAMES:
        if value := getattr(event, name):
            fields[name] = value
    fields["payload"] = orjson.Fragment(encode_json(event.payload) if payload is None else payload)
    if event.metadata is not None:
        fields["metadata"] = orjson.Fragment(encode_json(event.metadata) if metadata is None else metadata)
    return EventRecord(event_id, trace_id, occurred_at, now_ms, orjson.dumps(fields))

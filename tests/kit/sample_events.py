"""Records as a publisher makes them, without Kafka."""

from __future__ import annotations

from dataclasses import dataclass

from axonstream.contract.event_record import encode_event
from axonstream.event_contract import EventInput
from axonstream.kafka.topics import event_key

NOW_MS = 1_900_000_000_123  # 2030: no TTL reaches it


@dataclass(frozen=True)
class Record:
    """What the sink reads of a consumed record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS


def event_value(
    trace_id: str, event_id: int, payload: bytes = b'{"query":"AI frameworks"}', now_ms: int = NOW_MS
) -> bytes:
    event = EventInput.model_validate(
        {
            "identifier": "web_search",
            "payload": {},
            "channel_id": 1,
            "agentId": "researcher",
            "eventType": "agent.start",
        }
    )
    encoded = encode_event(event, tenant_id="1", trace_id=trace_id, fresh_id=event_id, now_ms=now_ms, payload=payload)
    return encoded.value


def event_record(partition: int, offset: int) -> Record:
    trace_id = f"tr_{partition}"
    return Record("agent-events", partition, offset, event_key(trace_id), event_value(trace_id, offset))

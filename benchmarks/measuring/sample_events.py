"""The events of every benchmark: 450 bytes of JSON as the product writes them, on traces that overlap.

Bodies and payloads are spelt as most senders spell them, who use `json.dumps` or `requests`: a space after each comma
and colon, letters beyond ASCII as escapes, line ends within texts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import EventInput

TRACES = 100_000
NOW_MS = 1_900_000_000_000  # 2030: no TTL reaches it
TENANT = "1"
_TYPES = ("agent.message", "agent.tool_call.start", "agent.tool_call.end", "agent.handoff", "agent.error")
_AGENTS = ("planner", "researcher", "writer")
_QUERY = "What changed in Zürich\nand why? " + "x" * 51  # makes the record 450 bytes


def trace_id(number: int) -> str:
    """Of the `number`-th trace."""
    return f"tr_{number:08d}"


def event_fields(number: int, trace: str) -> dict[str, Any]:
    """The fields of the `number`-th event, named as on the wire."""
    return {
        "identifier": "web_search",
        "payload": {"query": _QUERY, "n": number},
        "channel_id": 1,
        "agentId": _AGENTS[number % 3],
        "traceId": trace,
        "spanId": f"sp_{number:016x}",
        "eventType": _TYPES[number * 7 % 5],
        "dedupKey": f"{number:032x}",
    }


def body_of(fields: dict[str, Any]) -> bytes:
    """JSON as `json.dumps` makes it."""
    return json.dumps(fields).encode()


def sample_records(count: int, traces: int = TRACES) -> Iterator[EventRecord]:
    """`count` records, each of a trace that is chosen by chance; the same ones every time."""
    chance = random.Random(1)
    for number in range(count):
        yield sample_record(number, trace_id(chance.randrange(traces)), NOW_MS + number)


def sample_record(number: int, trace: str, at_ms: int) -> EventRecord:
    """The record of the `number`-th event. Its fields are known to be valid, so they are not validated."""
    fields = event_fields(number, trace)
    event = EventInput.model_construct(
        identifier=fields["identifier"],
        payload=fields["payload"],
        channel_id=fields["channel_id"],
        agent_id=fields["agentId"],
        trace_id=trace,
        span_id=fields["spanId"],
        event_type=fields["eventType"],
        dedup_key=fields["dedupKey"],
    )
    return encode_event(
        event, tenant_id=TENANT, trace_id=trace, fresh_id=number, now_ms=at_ms, payload=body_of(fields["payload"])
    )

"""What goes over a live stream: server-sent events, as bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from gateway.answers import StoredEvent, event_answer
from gateway.credentials import Generation
from gateway.sender_bytes import read_event
from producers.event_record import encode_json

AppOf = Callable[[str, int], int | None]  # of a tenant's channel

# One line, without the empty line that ends an event: readers are known that make an empty event of it.
COMMENT = b":\n"

# Line ends for readers that split lines as Python's str.splitlines does; in JSON they stand within strings only.
_ODD_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def event_data(fields: dict[str, Any], value: bytes, generation: Generation, app_of: AppOf) -> bytes:
    """The event of a record that the verdict has passed, as a row of its trace's events, in lines of `data:`.

    Payload and metadata are the sender's bytes, but for line ends: those between values become line feeds, and the odd
    ones within strings are escaped.
    """
    kept = read_event(value).kept
    payload = kept.get("payload") or encode_json(fields["payload"])
    metadata = kept.get("metadata") or (encode_json(fields["metadata"]) if "metadata" in fields else b"")
    event = StoredEvent(
        event_id=fields["event_id"],
        identifier=fields["identifier"],
        payload=payload,
        metadata=metadata,
        channel_id=fields["channel_id"],
        agent_id=fields.get("agent_id", ""),
        trace_id=fields["trace_id"],
        span_id=fields.get("span_id", ""),
        parent_event_id=fields.get("parent_event_id", ""),
        parent_span_id=fields.get("parent_span_id", ""),
        event_type=fields["event_type"],
        dedup_key=fields.get("dedup_key", ""),
        environment=fields.get("environment", ""),
        source=fields["source"],
        occurred_at=fields["occurred_at"],
        received_at=fields["received_at"],
    )
    app_id = app_of(fields["tenant_id"], event.channel_id)
    return _one_line_each(orjson.dumps(event_answer(event, fields["tenant_id"], generation, app_id)))


def event_frame(position: bytes, data: bytes) -> bytes:
    """An event, whose id is the position after it."""
    return b"event: message\nid: %b\ndata: %b\n\n" % (position, data)


def position_frame(position: bytes) -> bytes:
    """Moves the reader's last event id, and is no event."""
    return b"id: %b\n\n" % position


def gap_frame(reason: str, missed: int, resume: bytes) -> bytes:
    """Says that `missed` are missing before what comes next.

    `slow`: so many events of this stream; resuming at `resume` misses none of them. `expired`: so many offsets of the
    log that retention has deleted; `resume` is where the stream goes on.
    """
    data = orjson.dumps({"reason": reason, "missed": missed, "resume": resume.decode()})
    return b"event: gap\ndata: %b\n\n" % data


def _one_line_each(data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if not data.isascii():
        for odd, escaped in _ODD_LINE_ENDS:
            if odd in data:
                data = data.replace(odd, escaped)
    return data

"""What goes over a live stream: server-sent events, as bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from axonstream.contract.event import Event
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.routing.answers import StoredEvent, event_answer

AppOf = Callable[[str, int], int | None]  # of a tenant's channel

# One line, without the empty line that ends an event: readers are known that make an empty event of it.
COMMENT = b":\n"

# Line ends for readers that split lines as Python's str.splitlines does; in JSON they stand within strings only.
_ODD_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def event_data(event: Event, generation: ApiVersion, app_of: AppOf) -> bytes:
    """A row of its trace's events, in lines of `data:`.

    Payload and metadata are the sender's bytes, but for line ends: those between values become line feeds, and the odd
    ones within strings are escaped.
    """
    stored = StoredEvent.of_record(event)
    app_id = app_of(event.tenant_id, event.channel_id)
    return _one_line_each(orjson.dumps(event_answer(stored, event.tenant_id, generation, app_id)))


def event_frame(position: bytes, data: bytes) -> bytes:
    """An event, whose id is the position after it."""
    return b"event: message\nid: %b\ndata: %b\n\n" % (position, data)


def position_frame(position: bytes) -> bytes:
    """Moves the reader's last event id, and is no event."""
    return b"id: %b\n\n" % position


def gap_frame(reason: str, resume: bytes, missed: int | None = None) -> bytes:
    """Says that events are missing, or may be, before what comes next.

    `slow`: `missed` events of this stream; resuming at `resume` misses none of them. `expired`: retention has deleted
    a part of the log. `lost_end`: the log lost its end and goes on with other records; events that this reader has had,
    of the last half minute before, may come again. `old_position`: the reader came with a position of a version whose
    positions are not sealed. The stream goes on at `resume`; `deleted`: the trace was deleted, and the stream ends. How
    much is missing is known of `slow` alone: otherwise there are only offsets, which count the events of all tenants.
    """
    data = {"reason": reason, "resume": resume.decode()} | ({} if missed is None else {"missed": missed})
    return b"event: gap\ndata: %b\n\n" % orjson.dumps(data)


def _one_line_each(data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if not data.isascii():
        for odd, escaped in _ODD_LINE_ENDS:
            if odd in data:
                data = data.replace(odd, escaped)
    return data

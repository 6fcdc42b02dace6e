"""The routes of reading."""

from __future__ import annotations

from collections.abc import Sequence

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.reading.client_leaves import ends_with_its_client
from axonstream.gateway.reading.event_lists import CHANNEL_LIST, NOT_SEARCHED, SEARCH, EventLists
from axonstream.gateway.reading.trace_reads import TRACE_LIST, TraceReads
from axonstream.gateway.routing.request import Handler
from axonstream.gateway.routing.route import Route


def reading_routes(reads: TraceReads, lists: EventLists) -> list[Route]:
    """Traces, their events, and lists of events."""
    return [
        _read("/traces", reads.traces, TRACE_LIST),
        _read("/traces/{trace_id*}/summary", reads.summary, ("events",)),
        _read("/traces/{trace_id*}/events", reads.events),
        _read("/traces/{trace_id*}", reads.trace),
        _read("/events", lists.search, SEARCH, NOT_SEARCHED),
        _read("/event/{channel_id}/list", lists.of_channel, CHANNEL_LIST),
    ]


def _read(path: str, handler: Handler, takes: Sequence[str] = (), ignored: Sequence[str] = ()) -> Route:
    return Route("GET", path, ends_with_its_client(handler), KeyScope.READ, takes, ignored)

"""GET /event/{channel}/list and GET /events: events of a channel, or of all of a tenant, the newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from starlette.datastructures import QueryParams
from starlette.responses import Response

from axonstream.gateway.control.credentials import Identity
from axonstream.gateway.control.log import Control, not_caught_up
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.reading.being_deleted import BeingDeleted
from axonstream.gateway.reading.event_queries import EventFilter, EventPlace, EventQueries
from axonstream.gateway.reading.event_rows import event_rows_in_turns
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.reading.list_cursor import ListCursors, skipped_rows
from axonstream.gateway.reading.query_values import MAX_LIMIT, entity_id, positive, time_ms
from axonstream.gateway.reading.read_handler import Reads, read_handler
from axonstream.gateway.reading.trace_reads import nothing_yet, stale_headers
from axonstream.gateway.reading.visibility import Freshness, Visibility
from axonstream.gateway.routing.request import Request
from axonstream.gateway.sealed_texts import SealedTexts
from axonstream.names import MAX_NAME_BYTES, name_fault

_PAGE, _SEARCH = 10, 100
_NONE = b"[]"
_TEXTS = {
    "agentId": "agent_id",
    "eventType": "event_type",
    "traceId": "trace_id",
    "environment": "environment",
    "source": "source",
}
# What the calls take of a query; NOT_SEARCHED is what axonpush 0.0.19 can send besides, and nothing is filtered by.
CHANNEL_LIST = (*_TEXTS, "page", "offset", "limit", "cursor")
SEARCH = (*_TEXTS, "channelId", "appId", "since", "until", "limit", "cursor")
NOT_SEARCHED = ("environmentId", "status", "agentName", "toolName", "semanticKind", "q", "attrKey", "attrValue")


class EventLists(Reads):
    """The handlers. Stale and empty answers are as those of the trace reads."""

    def __init__(
        self,
        late_reads: LateReads,
        visibility: Visibility,
        queries: EventQueries,
        sealed: SealedTexts,
        control: Control,
        clock: Callable[[], int],
        being_deleted: BeingDeleted,
    ) -> None:
        super().__init__(late_reads)
        self._visibility = visibility
        self._queries = queries
        self._cursors = ListCursors(sealed, "events by first arrival")
        self._control = control
        self._clock = clock
        self._being_deleted = being_deleted

    @read_handler
    async def of_channel(self, request: Request, identity: Identity) -> Response:
        """A bare array for both generations; 404 for a channel that neither exists nor has events."""
        query = request.query_params
        channel = entity_id(request.path_params["channel_id"])
        limit = min(positive(query, "limit", _PAGE), MAX_LIMIT)
        skipped, after = skipped_rows(query, limit), self._place(query, identity)
        wanted = replace(_texts(query), channel_ids=[channel or 0])
        fresh = await self._fresh(wanted)
        rows, headers = _NONE, stale_headers(fresh)
        if channel is not None:
            rows, headers = await self._rows(identity, wanted, limit, skipped, after, fresh=fresh)
        if rows == _NONE and not skipped and after is None:
            caught_up = await self._control.catch_up()
            if channel not in self._control.data.tenant(identity.tenant_id).channel_apps:
                if channel is not None and not caught_up:
                    raise not_caught_up()
                raise RefusedError(404, "there is no such channel", "Check the id; the key must be of its tenant.")
            if not fresh:
                raise nothing_yet(fresh)
        return Response(rows, 200, headers, media_type="application/json")

    @read_handler
    async def search(self, request: Request, identity: Identity) -> Response:
        """`{"events": [...]}` of what matches every filter that is given."""
        query = request.query_params
        limit = min(positive(query, "limit", _SEARCH), MAX_LIMIT)
        since_ms, until_ms = time_ms(query, "since"), time_ms(query, "until")
        wanted = replace(
            _texts(query), channel_ids=self._channels(identity, query), since_ms=since_ms, until_ms=until_ms
        )
        after = self._place(query, identity)
        fresh = await self._fresh(wanted)
        rows, headers = await self._rows(identity, wanted, limit, 0, after, fresh=fresh)
        if rows == _NONE and not fresh:
            raise nothing_yet(fresh)
        return Response(b'{"events":' + rows + b"}", 200, headers, media_type="application/json")

    async def _fresh(self, wanted: EventFilter) -> Freshness:
        """Of the events of one trace, its own partition has a say alone."""
        if wanted.trace_id:
            return await self._visibility.of_trace(wanted.trace_id)
        return await self._visibility.of_everything()

    async def _rows(
        self,
        identity: Identity,
        wanted: EventFilter,
        limit: int,
        skipped: int,
        after: EventPlace | None,
        *,
        fresh: Freshness,
    ) -> tuple[bytes, dict[str, str]]:
        """A page, and the headers of its answer."""
        tenant_id = identity.tenant_id
        finished = await self._being_deleted.finished(tenant_id)
        found = await self._queries.page(tenant_id, wanted, limit, skipped, self._clock(), after)
        hidden = self._being_deleted.hidden(tenant_id, finished)
        shown = [one for one in found.events if not hidden.hides(one.trace_id)] if hidden else found.events
        headers = stale_headers(fresh) | self._cursors.headers(tenant_id, found.end) | hidden.headers
        return await event_rows_in_turns(shown, identity), headers

    def _place(self, query: QueryParams, identity: Identity) -> EventPlace | None:
        place = self._cursors.place(query, identity.tenant_id)
        return None if place is None else EventPlace(*(int(number) for number in place))

    def _channels(self, identity: Identity, query: QueryParams) -> list[int] | None:
        """Those that channelId and appId leave; None for any. What is no id names no channel."""
        channels: list[int] | None = None
        if (text := query.get("appId")) is not None:
            app = entity_id(text)
            if not self._control.data.loaded:
                raise not_caught_up()
            tenant = self._control.data.tenant(identity.tenant_id)
            channels = [] if app is None else [channel.id for channel in tenant.channels(app)]
        if (text := query.get("channelId")) is not None:
            channel = entity_id(text)
            if channel is None or (channels is not None and channel not in channels):
                return []
            return [channel]
        return channels


def _texts(query: QueryParams) -> EventFilter:
    found = {field: query[name] for name, field in _TEXTS.items() if name in query}
    for name, text in found.items():
        if text and name_fault(text) is not None:
            message = f"{name} must be at most {MAX_NAME_BYTES} bytes without NUL"
            raise RefusedError(400, message, "Correct the filter, or leave it out.")
    return EventFilter(**found)  # pyright: ignore[reportArgumentType]  only its strings

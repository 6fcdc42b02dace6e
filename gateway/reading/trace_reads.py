"""Reading traces over HTTP: each call waits for visibility, then asks ClickHouse (guarantees G3, G4, G6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, suppress

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from axonstream.event_contract import MAX_TIME_MS
from axonstream.gateway.control.credentials import ApiVersion, Identity
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.reading.being_deleted import BeingDeleted
from axonstream.gateway.reading.event_rows import event_rows, event_rows_in_turns
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.reading.list_cursor import ListCursors, skipped_rows
from axonstream.gateway.reading.pipeline_offsets import named
from axonstream.gateway.reading.query_values import MAX_LIMIT, positive, time_ms
from axonstream.gateway.reading.read_handler import Reads, read_handler
from axonstream.gateway.reading.trace_queries import TracePlace, TraceQueries
from axonstream.gateway.reading.visibility import Freshness, Visibility
from axonstream.gateway.routing.answers import StoredEvent, summary_answer, trace_answer
from axonstream.gateway.routing.request import Request
from axonstream.gateway.sealed_texts import SealedTexts
from axonstream.names import name_fault

READER_STALL_S = 30.0  # a reader that takes nothing for so long is cut off: it holds a query open
_DEFAULT_LIMIT = 20
_EVENTS_IN_SUMMARY = 100

TRACE_LIST = ("page", "offset", "limit", "cursor", "since", "until")
_JSON = "application/json"
_STALE = {"X-Axonstream-Stale": "true"}


class TraceReads(Reads):
    """The handlers of the trace reads of both generations.

    200 with X-Axonstream-Stale when the wait was not enough and there is something to show, 503 when there is nothing;
    404 only when what was acknowledged before the request is visible and the tenant has no such trace.
    """

    def __init__(
        self,
        late_reads: LateReads,
        visibility: Visibility,
        queries: TraceQueries,
        sealed: SealedTexts,
        stream_timeout_s: float,
        being_deleted: BeingDeleted,
    ) -> None:
        super().__init__(late_reads)
        self._cursors = ListCursors(sealed, "traces")
        self._stream_timeout_s = stream_timeout_s
        self._visibility = visibility
        self._queries = queries
        self._being_deleted = being_deleted

    @read_handler
    async def traces(self, request: Request, identity: Identity) -> Response:
        """GET /traces, newest activity first: ?page&limit, a bare array; recent ?since&until&limit&offset, wrapped.

        Of both, ?cursor goes on where a full page ended.
        """
        query = request.query_params
        limit = min(positive(query, "limit", _DEFAULT_LIMIT), MAX_LIMIT)
        skipped, place = skipped_rows(query, limit), self._cursors.place(query, identity.tenant_id)
        after = None if place is None else TracePlace(int(place[0]), str(place[1]))
        since, until = time_ms(query, "since"), time_ms(query, "until")
        bounds = None if since is until is None else (since or 0, MAX_TIME_MS if until is None else until)
        fresh = await self._visibility.of_everything()
        finished = await self._being_deleted.finished(identity.tenant_id)
        found = await self._queries.page(identity.tenant_id, limit, skipped, bounds, after)
        if not fresh and not found.traces and not skipped and after is None:
            raise nothing_yet(fresh)
        hidden = self._being_deleted.hidden(identity.tenant_id, finished)
        shown = [figures for figures in found.traces if not hidden.hides(figures.trace_id)]
        rows = [trace_answer(figures, identity.generation) for figures in shown]
        body = orjson.dumps(rows if identity.generation is ApiVersion.V0 else {"traces": rows})
        headers = stale_headers(fresh) | self._cursors.headers(identity.tenant_id, found.end) | hidden.headers
        return Response(body, 200, headers, media_type=_JSON)

    @read_handler
    async def trace(self, request: Request, identity: Identity) -> Response:
        """GET /traces/{id}: the figures, and all events as `spans`, sent as `events` sends them."""
        trace_id = _trace_id(request)
        fresh, known = await self._begin(identity, trace_id)
        figures = await self._queries.trace(identity.tenant_id, trace_id)
        if figures is None:
            raise _no_such_trace() if fresh else nothing_yet(fresh)
        head = orjson.dumps(trace_answer(figures, identity.generation))[:-1] + b',"spans":'
        return await self._streamed(identity, trace_id, fresh, known, head, b"}")

    @read_handler
    async def summary(self, request: Request, identity: Identity) -> Response:
        """GET /traces/{id}/summary: the figures and the first events; `?events=0` leaves the events out."""
        trace_id = _trace_id(request)
        fresh, known = await self._begin(identity, trace_id)
        figures, events = await asyncio.gather(
            self._queries.trace(identity.tenant_id, trace_id), self._first_events(request, identity, trace_id)
        )
        self._being_deleted.check_since(identity.tenant_id, trace_id, known)
        if figures is None:
            raise _no_such_trace() if fresh else nothing_yet(fresh)
        rows = event_rows(events, identity)
        body = orjson.dumps(summary_answer(figures, rows, identity.generation))
        return Response(body, 200, stale_headers(fresh), media_type=_JSON)

    async def _first_events(self, request: Request, identity: Identity, trace_id: str) -> list[StoredEvent]:
        if positive(request.query_params, "events", 1, least=0) == 0:
            return []
        return await self._queries.first_events(identity.tenant_id, trace_id, _EVENTS_IN_SUMMARY)

    @read_handler
    async def events(self, request: Request, identity: Identity) -> Response:
        """GET /traces/{id}/events: a bare array, sent as ClickHouse reads it; at most one block of it is held.

        When ClickHouse fails on the way, the connection is broken off: the sender never takes a part for the whole.
        """
        trace_id = _trace_id(request)
        fresh, known = await self._begin(identity, trace_id)
        return await self._streamed(identity, trace_id, fresh, known)

    async def _begin(self, identity: Identity, trace_id: str) -> tuple[Freshness, Collection[int]]:
        """Whether the trace is visible as of now, and the deletions of it that are known now: see `BeingDeleted`.

        Raises BeingDeletedError.
        """
        known = self._being_deleted.known(identity.tenant_id, trace_id)
        await self._being_deleted.check(identity.tenant_id, trace_id)
        return await self._visibility.of_trace(trace_id), known

    async def _streamed(
        self,
        identity: Identity,
        trace_id: str,
        fresh: Freshness,
        known: Collection[int],
        head: bytes = b"",
        tail: bytes = b"",
    ) -> Response:
        async with AsyncExitStack() as stack:
            blocks = await stack.enter_async_context(self._queries.all_events(identity.tenant_id, trace_id))
            first = await anext(blocks, [])
            self._being_deleted.check_since(identity.tenant_id, trace_id, known)
            if not first:
                raise _no_such_trace() if fresh else nothing_yet(fresh)
            body = _array(identity, first, blocks, head, tail)
            answer = _HoldingResponse(body, 200, stale_headers(fresh), media_type=_JSON)
            answer.held, answer.timeout_s = stack.pop_all(), self._stream_timeout_s
        return answer


class _HoldingResponse(StreamingResponse):
    """Lets go of the query it reads from however the answer ends, also when the client goes away before its start."""

    held: AsyncExitStack
    timeout_s: float  # for the whole: a reader that takes a little now and then does not keep its turn for ever

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(READER_STALL_S):
                await send(message)

        async with self.held:
            with suppress(
                TimeoutError, ClientDisconnect
            ):  # the answer ends without its end, so that the reader sees that it was cut
                async with asyncio.timeout(self.timeout_s):
                    await super().__call__(scope, receive, send_in_time)


async def _array(
    identity: Identity, block: list[StoredEvent], blocks: AsyncGenerator[list[StoredEvent]], head: bytes, tail: bytes
) -> AsyncGenerator[bytes]:
    opening = head + b"["
    while block:
        yield opening + (await event_rows_in_turns(block, identity))[1:-1]
        opening = b","
        block = await anext(blocks, [])
    yield b"]" + tail


def _trace_id(request: Request) -> str:
    trace_id: str = request.path_params["trace_id"]
    if name_fault(trace_id) is not None:
        raise _no_such_trace()  # no event can have such a trace id
    return trace_id


def stale_headers(fresh: Freshness) -> dict[str, str]:
    return {} if fresh else dict(_STALE)


def _no_such_trace() -> RefusedError:
    """The same for an unknown trace and for another tenant's."""
    return RefusedError(404, "there is no such trace", "Check the trace id, and that the key is of the trace's tenant.")


def nothing_yet(fresh: Freshness) -> UnavailableError:
    """What is not fresh, and has nothing to show: it may be there all the same."""
    message = "what was acknowledged before this request is not readable yet"
    if fresh.silent:
        return UnavailableError(
            f"{message}: in Kafka, no leader answers for {named(fresh.silent)} of the events",
            "Ask again; traces of the other partitions can be read.",
        )
    return UnavailableError(message, "Ask again; if this lasts, check that the processor and the sink run.")

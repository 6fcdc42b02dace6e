"""Reading traces over HTTP: each call waits for visibility, then asks ClickHouse (guarantees G3, G4, G6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, suppress

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from axonstream.event_contract import MAX_NAME_BYTES
from gateway.answers import StoredEvent, event_answer, summary_answer, trace_answer
from gateway.authentication import Authentication
from gateway.credentials import Generation, Identity, KeyScope
from gateway.errors import RefusedError, UnavailableError
from gateway.trace_queries import TraceQueries
from gateway.visibility import Visibility

MAX_LIMIT = 1000
READER_STALL_S = 30.0  # a reader that takes nothing for so long is cut off: it holds a query open
_DEFAULT_LIMIT = 20
_EVENTS_IN_SUMMARY = 100
_MOST_DIGITS = 15  # page times limit stays below what ClickHouse takes as an offset

_JSON = "application/json"
_STALE = {"X-Axonstream-Stale": "true"}


class TraceReads:
    """The handlers of the early generation's trace reads.

    200 with X-Axonstream-Stale when the wait was not enough and there is something to show, 503 when there is nothing;
    404 only when what was acknowledged before the request is visible and the tenant has no such trace.
    """

    def __init__(self, authentication: Authentication, visibility: Visibility, queries: TraceQueries) -> None:
        self._authentication = authentication
        self._visibility = visibility
        self._queries = queries

    async def traces(self, request: Request) -> Response:
        """GET /traces?page&limit: newest activity first."""
        identity = self._authentication.identify(request, KeyScope.READ)
        page = _positive(request.query_params, "page", 1)
        limit = min(_positive(request.query_params, "limit", _DEFAULT_LIMIT), MAX_LIMIT)
        if identity.generation is Generation.RECENT:
            raise RefusedError(
                400, "the list of traces is not served in the recent form", "Send the key in X-API-Key instead."
            )
        fresh = await self._visibility.of_everything()
        rows = await self._queries.page(identity.tenant_id, limit, (page - 1) * limit)
        if not fresh and not rows and page == 1:
            raise _nothing_yet()
        body = orjson.dumps([trace_answer(figures, identity.generation) for figures in rows])
        return Response(body, 200, _headers(fresh), media_type=_JSON)

    async def summary(self, request: Request) -> Response:
        """GET /traces/{id}/summary: the figures and the first events; `?events=0` leaves the events out."""
        identity, trace_id = self._authentication.identify(request, KeyScope.READ), _trace_id(request)
        fresh = await self._visibility.of_trace(trace_id)
        figures, events = await asyncio.gather(
            self._queries.trace(identity.tenant_id, trace_id), self._first_events(request, identity, trace_id)
        )
        if figures is None:
            raise _no_such_trace() if fresh else _nothing_yet()
        rows = [event_answer(event, identity.tenant_id, identity.generation) for event in events]
        body = orjson.dumps(summary_answer(figures, rows, identity.generation))
        return Response(body, 200, _headers(fresh), media_type=_JSON)

    async def _first_events(self, request: Request, identity: Identity, trace_id: str) -> list[StoredEvent]:
        if request.query_params.get("events") == "0":
            return []
        return await self._queries.first_events(identity.tenant_id, trace_id, _EVENTS_IN_SUMMARY)

    async def events(self, request: Request) -> Response:
        """GET /traces/{id}/events: a bare array, sent as ClickHouse reads it; at most one block of it is held.

        When ClickHouse fails on the way, the connection is broken off: the sender never takes a part for the whole.
        """
        identity, trace_id = self._authentication.identify(request, KeyScope.READ), _trace_id(request)
        fresh = await self._visibility.of_trace(trace_id)
        async with AsyncExitStack() as stack:
            blocks = await stack.enter_async_context(self._queries.all_events(identity.tenant_id, trace_id))
            first = await anext(blocks, [])
            if not first:
                raise _no_such_trace() if fresh else _nothing_yet()
            answer = _HoldingResponse(_array(identity, first, blocks), 200, _headers(fresh), media_type=_JSON)
            answer.held = stack.pop_all()
        return answer


class _HoldingResponse(StreamingResponse):
    """Lets go of the query it reads from however the answer ends, also when the client goes away before its start."""

    held: AsyncExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(READER_STALL_S):
                await send(message)

        async with self.held:
            with suppress(
                TimeoutError, ClientDisconnect
            ):  # the answer ends without its end, so that the reader sees that it was cut
                await super().__call__(scope, receive, send_in_time)


async def _array(
    identity: Identity, block: list[StoredEvent], blocks: AsyncGenerator[list[StoredEvent]]
) -> AsyncGenerator[bytes]:
    opening = b"["
    while block:
        rows = [event_answer(event, identity.tenant_id, identity.generation) for event in block]
        yield opening + orjson.dumps(rows)[1:-1]
        opening = b","
        block = await anext(blocks, [])
    yield b"]"


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) >= 1):
        raise RefusedError(400, f"{name} must be a whole number from 1, not {text[:32]!r}", f"Set {name} to 1 or more.")
    return int(text)


def _trace_id(request: Request) -> str:
    trace_id: str = request.path_params["trace_id"]
    if "\x00" in trace_id or not trace_id or len(trace_id.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise _no_such_trace()  # no event can have such a trace id
    return trace_id


def _headers(fresh: bool) -> dict[str, str] | None:
    return None if fresh else _STALE


def _no_such_trace() -> RefusedError:
    """The same for an unknown trace and for another tenant's."""
    return RefusedError(404, "there is no such trace", "Check the trace id, and that the key is of the trace's tenant.")


def _nothing_yet() -> UnavailableError:
    return UnavailableError(
        "what was acknowledged before this request is not readable yet",
        "Ask again; if this lasts, check that the processor and the sink run.",
    )

"""A FastAPI service of which every request is a run of its own.

A middleware opens the scope of a trace around each request. A caller that sends the W3C header `traceparent` has the
service join its trace.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from axonstream import AsyncAxonPush, EventType, current_trace, read_traceparent, trace_scope

URL = os.environ.get("AXONSTREAM_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("AXONSTREAM_API_KEY", "ak_local")


class TraceOfTheRequest:
    """ASGI middleware: everything that the code of one request publishes is in one trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = read_traceparent(Request(scope).headers.get("traceparent", ""))
        with trace_scope(parent.trace_id if parent else None):
            await self._app(scope, receive, send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One client for the whole service."""
    async with AsyncAxonPush(api_key=KEY, tenant_id="1", base_url=URL) as client:
        app.state.axonstream = client
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(TraceOfTheRequest)


@app.get("/search")
async def search(request: Request, query: str) -> dict[str, Any]:
    """The agent: no line of it names the trace."""
    publish = request.app.state.axonstream.events.publish
    await publish("search", {"query": query}, 1, agent_id="searcher", event_type=EventType.AGENT_START)
    await publish("web_search", {"query": query}, 1, agent_id="searcher", event_type=EventType.AGENT_TOOL_CALL_START)
    trace = current_trace()
    return {"pages": 4, "trace": trace.trace_id if trace else None}


@app.get("/traces/{trace_id}")
async def look(request: Request, trace_id: str) -> dict[str, Any]:
    """What the service has traced."""
    summary = await request.app.state.axonstream.traces.get_summary(trace_id)
    return {"events": summary.total_events, "tool_calls": summary.tool_call_count}


async def main() -> None:
    """Asks the service in this process. `uvicorn fastapi_service:app` in this folder serves it."""
    transport = httpx.ASGITransport(app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://service") as caller:

        async def search_for(query: str, **headers: str) -> str:
            answer = await caller.get("/search", params={"query": query}, headers=headers)
            return answer.json()["trace"]

        traces = [await search_for("frameworks"), await search_for("models")]
        print(f"two requests, two traces: {traces[0] != traces[1]}")
        of_the_caller = secrets.token_hex(16)
        joined = await search_for("prices", traceparent=f"00-{of_the_caller}-{secrets.token_hex(8)}-01")
        print(f"a request with a trace joins it: {joined == of_the_caller}")
        print((await caller.get(f"/traces/{traces[0]}")).json())


if __name__ == "__main__":
    asyncio.run(main())

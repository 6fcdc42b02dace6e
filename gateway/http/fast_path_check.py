"""Whether uvicorn hands requests to the fast path: without it, live streams lose the bound of their bytes.

Nothing else would show it: every request has the same answer, more slowly. So the gateway asks before it serves.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.exchange import exchange_of
from axonstream.gateway.http.protocol import GatewayProtocol

_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class FastPathError(Exception):
    """This uvicorn does not offer the fast path."""


class _Nowhere(asyncio.Transport):
    """A connection to nobody."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


async def check_fast_path() -> None:
    """Answer one request of a connection in memory. Raises FastPathError unless it came with its `Exchange`."""
    offered: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        offered.append(exchange is not None and exchange.answer(200, b"{}", b"application/json"))
        if not offered[0]:
            await Response(b"{}")(scope, receive, send)

    state = ServerState()
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    connection = GatewayProtocol(config, state, {}, connections=Connections(1, 1))
    connection.connection_made(_Nowhere())
    connection.data_received(_REQUEST)
    await asyncio.gather(*state.tasks)
    connection.connection_lost(None)
    if offered != [True]:
        raise FastPathError(
            f"uvicorn {version('uvicorn')} does not hand requests over as this version of axonstream needs it, and a "
            "live stream could hold any number of bytes; install the version that the extra `server` names"
        )

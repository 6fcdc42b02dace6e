"""A server of this process on real sockets, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.protocol import GatewayProtocol
from axonstream.gateway.http.request_counts import RequestCounts
from axonstream.gateway.http.request_head import RequestHead
from axonstream.gateway.routing.dispatcher import Dispatcher
from axonstream.gateway.routing.request import Answer, Request
from axonstream.gateway.routing.route import Route
from kit.until import until

PATIENCE_S = 60.0
held: list[asyncio.Future[None]] = []  # the answers to the body "slow"


async def let_go() -> None:
    """The answer that is held is given."""
    await until(lambda: bool(held), "an answer is held", PATIENCE_S)
    held.pop().set_result(None)


async def echo(request: Request) -> Answer:
    sent = await request.body.read(1 << 20, "1")
    if sent == b"slow":
        held.append(asyncio.get_running_loop().create_future())
        await held[-1]
    if sent == b"refuse":
        raise RefusedError(400, "refused", "send something else")
    return Answer(201, b'{"bytes":%d,"last":"%b"}' % (len(sent), sent[-3:]))


@asynccontextmanager
async def serving(
    connections: Connections | None = None, protocol: Any = None, app: ASGIApp | None = None
) -> AsyncGenerator[int]:
    """The port of a server; by default POST /event gives the number of bytes that came and the last three of them."""
    if protocol is None:
        protocol = partial(GatewayProtocol, connections=connections or Connections(100, 100))
    nobody = Authentication({}, ControlData(), b"", lambda: 0, RateLimits(0, 0, 1, lambda: 0.0))
    routes = [Route("POST", "/event", echo, fast=True)]
    config = uvicorn.Config(
        app or Dispatcher(routes, RequestHead(None), nobody, BodyRoom(), RequestCounts()),
        port=0,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def request(body: bytes, version: bytes = b"1.1", head: bytes = b"") -> bytes:
    size = b"Content-Length: %d\r\n" % len(body)
    return b"POST /event HTTP/%b\r\nHost: a\r\nX-Request-Id: r\r\n%b%b\r\n%b" % (version, size, head, body)


async def answer(port: int, pieces: Sequence[bytes] = (b"",)) -> bytes:
    """All that comes until the server closes; what follows an `Expect` is sent after the server has asked for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = b""
    if b"100-continue" in pieces[0]:
        writer.write(pieces[0])
        pieces, asked = pieces[1:], await reader.readuntil(b"\r\n\r\n")
    reading = asyncio.create_task(reader.read())
    for piece in pieces:
        writer.write(piece)
        draining = asyncio.create_task(writer.drain())
        await asyncio.wait([reading, draining], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():  # the server has said its last word
            draining.cancel()
            break
    came = await reading
    writer.transport.abort()
    return asked + re.sub(rb"date: [^\r]*\r\n", b"", came)


def statuses(came: bytes) -> list[int]:
    """Of every answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", came)]

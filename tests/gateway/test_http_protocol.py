"""The short way of the gateway's own HTTP protocol answers what uvicorn's own protocol answers, byte for byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.direct_call import DirectCall, DirectlyCalled, Headers
from gateway.errors import RefusedError
from gateway.http_protocol import GatewayProtocol
from gateway.publishing.request_body import RequestBody
from gateway.request_counts import RequestCounts

PATIENCE_S = 20.0


async def echo(_: Headers, body: RequestBody) -> tuple[int, bytes]:
    sent = await body.read(1 << 20)
    if sent == b"refuse":
        raise RefusedError(400, "refused", "send something else")
    return 201, b'{"bytes":%d,"last":"%b"}' % (len(sent), sent[-3:])


@asynccontextmanager
async def serving(protocol: type[asyncio.Protocol]) -> AsyncGenerator[int]:
    config = uvicorn.Config(
        DirectlyCalled({"/event": DirectCall(echo, lambda _: None)}, RequestCounts()),
        port=0,
        http=protocol,
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


CLOSE = b"Connection: close\r\n"
CHUNKED = b"POST /event HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%b\r\n3\r\nabc\r\n0\r\n\r\n" % CLOSE


async def answer(port: int, pieces: list[bytes]) -> bytes:
    """All that comes until the server closes; a second piece is sent after the server has asked for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = b""
    for piece in pieces:
        writer.write(piece)
        if b"100-continue" in piece:
            asked = await reader.readuntil(b"\r\n\r\n")
    came = await reader.read()
    writer.close()
    await writer.wait_closed()
    return asked + re.sub(rb"date: [^\r]*\r\n", b"", came)


CASES = [
    [request(b"whole", head=CLOSE)],
    [request(b"", head=CLOSE)],
    [request(b"refuse", head=CLOSE)],
    [request(b"kept"), request(b"then closed", head=CLOSE)],
    [request(b"two at once") + request(b"in one piece", head=CLOSE)],
    [request(b"old", b"1.0")],
    [request(b"x" * 200_000, head=CLOSE)],
    [CHUNKED],
    [request(b"comes later", head=b"Expect: 100-continue\r\n" + CLOSE)[:-11], b"comes later"],
]


def test_the_short_way_answers_what_uvicorn_answers() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(GatewayProtocol) as ours, serving(HttpToolsProtocol) as theirs:
            for pieces in CASES:
                expected = await answer(theirs, pieces)
                assert expected.count(b"HTTP/1.1 ") >= 1
                assert await answer(ours, pieces) == expected

    asyncio.run(scenario())

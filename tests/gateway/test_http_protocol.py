"""The short way of the gateway's own HTTP protocol answers what uvicorn's own protocol answers, byte for byte."""

from __future__ import annotations

import asyncio

from http_by_hand import PATIENCE_S, answer, request, serving
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CLOSE = b"Connection: close\r\n"
CHUNKED = b"POST /event HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%b\r\n3\r\nabc\r\n0\r\n\r\n" % CLOSE


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
        async with asyncio.timeout(PATIENCE_S), serving() as ours, serving(protocol=HttpToolsProtocol) as theirs:
            for pieces in CASES:
                expected = await answer(theirs, pieces)
                assert expected.count(b"HTTP/1.1 ") >= 1
                assert await answer(ours, pieces) == expected

    asyncio.run(scenario())

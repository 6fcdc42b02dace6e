"""The fast path of the gateway's own HTTP protocol answers what uvicorn's own protocol answers, byte for byte.

Each test sees that it was taken: with a uvicorn that does not offer it, the answers would be the same.
"""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from http_by_hand import PATIENCE_S, answer, request, serving
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from axonstream.gateway.http.exchange import Exchange
from axonstream.gateway.http.fast_path_check import FastPathError, check_fast_path
from axonstream.gateway.http.protocol import GatewayProtocol
from axonstream.gateway.server import _Server
from axonstream.sinks.errors import EXIT_MISMATCH

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


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each answer that went the fast path, or was turned away there."""
    taken: list[bool] = []
    answer = Exchange.answer

    def watched(exchange: Exchange, status: int, body: bytes, media_type: bytes) -> bool:
        taken.append(answer(exchange, status, body, media_type))
        return taken[-1]

    monkeypatch.setattr(Exchange, "answer", watched)
    return taken


def test_the_fast_path_answers_what_uvicorn_answers(taken: list[bool]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as ours, serving(protocol=HttpToolsProtocol) as theirs:
            for pieces in CASES:
                expected = await answer(theirs, pieces)
                assert expected.count(b"HTTP/1.1 ") >= 1
                assert taken == []
                assert await answer(ours, pieces) == expected
                assert taken == [True] * expected.count(b"HTTP/1.1 201 ")
                taken.clear()

    asyncio.run(scenario())


def test_the_uvicorn_that_is_installed_offers_it(taken: list[bool]) -> None:
    asyncio.run(check_fast_path())
    assert taken == [True]


def test_a_gateway_does_not_start_on_a_uvicorn_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As uvicorn 0.40 did: it started requests without a method that could be overridden."""
    start = HttpToolsProtocol._start_asgi_task
    monkeypatch.setattr(GatewayProtocol, "_start_asgi_task", start)
    with pytest.raises(FastPathError, match="does not hand requests over"):
        asyncio.run(check_fast_path())

    async def serve() -> None:
        server = _Server(uvicorn.Config(GatewayProtocol, port=0, log_config=None), asyncio.Event(), lambda: None)
        await server.startup()

    with pytest.raises(SystemExit) as ended:
        asyncio.run(serve())
    assert ended.value.code == EXIT_MISMATCH
    assert "the gateway does not start: uvicorn" in caplog.text

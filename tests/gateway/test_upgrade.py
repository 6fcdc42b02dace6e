"""A request that offers to change the protocol is answered as if it did not (RFC 9110 7.8); its body stays its body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from http_by_hand import PATIENCE_S, answer, request, serving, statuses

CLOSE = b"Connection: close\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"  # as curl
WEBSOCKET = b"Connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
SMUGGLED = request(b"one", head=b"X-Api-Key: x\r\n")  # a body that looks like a request

Cut = Callable[[bytes], list[bytes]]


def whole(sent: bytes) -> list[bytes]:
    return [sent]


def bytewise(sent: bytes) -> list[bytes]:
    return [sent[at : at + 1] for at in range(len(sent))]


def behind_the_heads(sent: bytes) -> list[bytes]:
    parts = sent.split(b"\r\n\r\n")
    return [part + b"\r\n\r\n" for part in parts[:-1]] + parts[-1:]


def chunked(body: bytes, head: bytes) -> bytes:
    framed = b"%x;ext=1\r\n%b\r\n0\r\nT: r\r\n\r\n" % (len(body), body)
    return b"POST /event HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nTransfer-Encoding: chunked\r\n%b\r\n%b" % (
        head,
        framed,
    )


@pytest.mark.slow
@pytest.mark.parametrize("cut", [whole, bytewise, behind_the_heads])
@pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize("of", [lambda body, head: request(body, head=head), chunked], ids=["length", "chunked"])
def test_a_body_behind_an_upgrade_is_read_and_never_becomes_a_request(
    cut: Cut, upgrade: bytes, of: Callable[[bytes, bytes], bytes]
) -> None:
    """S6: the body was answered as a request of its own: [400, 200] for one POST."""
    sent = of(SMUGGLED, upgrade) + of(b"second", upgrade) + request(b"last", head=CLOSE)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for piece in cut(sent):
                writer.write(piece)
                await asyncio.sleep(0)
            came = await reader.read()
            writer.close()
        assert statuses(came) == [201, 201, 201]
        for body in (SMUGGLED, b"second", b"last"):
            assert b'{"bytes":%d,"last":"%b"}' % (len(body), body[-3:]) in came

    asyncio.run(scenario())


def test_an_upgrade_changes_nothing_of_the_answer() -> None:
    """S6: without a body, of HTTP/1.0, with Expect, and of an Upgrade that `Connection` does not name."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            for version, more in ((b"1.1", b""), (b"1.1", b"Expect: 100-continue\r\n"), (b"1.0", b"")):
                plain = request(b"body", version, more + CLOSE)
                asking = request(b"body", version, more + b"Upgrade: h2c\r\nConnection: close, Upgrade\r\n")
                expected = await answer(port, [plain[:-4], plain[-4:]])
                assert expected.endswith(b'{"bytes":4,"last":"ody"}')
                assert await answer(port, [asking[:-4], asking[-4:]]) == expected
                unnamed = request(b"body", version, more + CLOSE + b"Upgrade: h2c\r\n")
                assert await answer(port, [unnamed[:-4], unnamed[-4:]]) == expected

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
    ids=["CONNECT", "HTTP/2 at once"],
)
def test_what_is_another_protocol_is_refused_and_nothing_behind_it_is_read(sent: bytes, status: int) -> None:
    """S6: what follows is no request."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            came = await answer(port, [sent + request(b"tunnelled")])
            assert statuses(came) == [status]
            assert b"connection: close" in came

    asyncio.run(scenario())


@pytest.mark.parametrize("behind", [b"GARBAGE\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_what_cannot_be_read_is_refused_after_the_answers_that_are_under_way(behind: bytes) -> None:
    """S6: the refusal of a later request is no answer to an earlier one."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            came = await answer(port, [request(b"first") + request(b"second") + behind])
            assert statuses(came)[:2] == [201, 201]
            assert len(statuses(came)) == 3

    asyncio.run(scenario())

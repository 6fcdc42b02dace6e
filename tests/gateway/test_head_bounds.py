"""What a connection without a key may send and hold: heads, framing and waiting have bounds.

Each test is an attack that took memory or a place without end.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from functools import partial

import pytest
from http_by_hand import PATIENCE_S, answer, let_go, request, serving, statuses

from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.protocol import MOST_HEAD_BYTES, MOST_HEAD_LINES, PIECE, GatewayProtocol
from kit.until import until

GET = b"GET /nothing HTTP/1.1\r\nHost: a\r\n"
CLOSE = b"Connection: close\r\n"
CHUNKED = b"POST /event HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = 64 << 20  # bytes of an attack that would go on


def endless(begin: bytes, more: bytes) -> list[bytes]:
    segment = more * ((256 << 10) // len(more))
    return [begin] + [segment] * (ENDLESS // len(segment))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        pytest.param(GET, b"a:\r\n", 431, id="short lines"),
        pytest.param(GET + b"X-Long: ", b"v", 431, id="one value"),
        pytest.param(GET, b"n", 431, id="one name"),
        pytest.param(b"GET /", b"u", 431, id="the URL"),
        pytest.param(GET + b"\r\n" + GET + b"X-Long: ", b"v", 431, id="a later head"),
        pytest.param(b"", b"\r\n", 400, id="empty lines"),
        pytest.param(CHUNKED + b"1;", b"e", 400, id="a chunk's extension"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\n", b"t:\r\n", 400, id="trailers"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\nT: ", b"v", 400, id="one trailer"),
    ],
)
def test_what_never_ends_is_refused_and_takes_no_memory(begin: bytes, more: bytes, status: int) -> None:
    """S3: 34 million header lines took 4 GB, one value of 100 MB two minutes of copying."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            tracemalloc.start()
            try:
                came = await answer(port, endless(begin, more))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert statuses(came)[-1:] == [status]
        assert b"connection: close" in came
        assert peak < 8 << 20

    asyncio.run(scenario())


def head_of(size: int) -> bytes:
    filled = GET + CLOSE + b"X-Fill: \r\n\r\n"
    return filled.replace(b"X-Fill: ", b"X-Fill: " + b"v" * (size - len(filled)))


@pytest.mark.parametrize("behind", [b"", request(b"x" * 70_000), request(b"y")], ids=["alone", "large", "small"])
@pytest.mark.parametrize("cut", [1 << 20, 1000], ids=["whole", "in segments"])
def test_a_head_may_have_64_kib_and_not_a_byte_more(behind: bytes, cut: int) -> None:
    """S3: wherever the head begins, and however it comes."""

    async def last_status(head: bytes) -> int:
        sent = behind + head
        async with serving() as port:
            return statuses(await answer(port, [sent[at : at + cut] for at in range(0, len(sent), cut)]))[-1]

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S):
            assert await last_status(head_of(MOST_HEAD_BYTES)) == 404
            assert await last_status(head_of(MOST_HEAD_BYTES + 1)) == 431

    asyncio.run(scenario())


def test_a_head_may_have_100_lines_and_each_head_is_counted_for_itself() -> None:
    """S3: pipelined heads have their own counts."""
    most = GET + b"a: b\r\n" * (MOST_HEAD_LINES - 2)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            assert statuses(await answer(port, [(most + b"a: b\r\n\r\n") * 3 + most + CLOSE + b"\r\n"])) == [404] * 4
            assert statuses(await answer(port, [most + b"a: b\r\na: b\r\n\r\n"])) == [431]

    asyncio.run(scenario())


def test_trailers_are_no_headers() -> None:
    """S16: a key in a trailer was taken for the request's, where the whole request came at once."""
    trailed = CHUNKED[:-2] + CLOSE + b"\r\n1\r\na\r\n0\r\nX-Request-Id: trailer\r\n\r\n"

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            came = await answer(port, [trailed.replace(b"/event", b"/nothing")])
            assert statuses(came) == [404]
            assert b"trailer" not in came

    asyncio.run(scenario())


class Watched(GatewayProtocol):
    """Notes how many requests have waited for their turn at once."""

    longest = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Watched.longest = max(Watched.longest, len(self.pipeline))


@pytest.mark.slow
def test_requests_that_come_ahead_of_their_turn_are_not_read() -> None:
    """S3: 10,000 requests in one segment were 10,000 requests in memory."""
    one = GET + b"\r\n"
    number = 2000

    async def scenario() -> None:
        watched = partial(Watched, connections=Connections(100, 100))
        async with asyncio.timeout(PATIENCE_S), serving(protocol=watched) as port:
            came = await answer(port, [one * number + GET + CLOSE + b"\r\n"])
        assert statuses(came) == [404] * (number + 1)
        assert 0 < Watched.longest <= PIECE // len(one) + 1

    asyncio.run(scenario())


@pytest.mark.slow
def test_connections_that_send_no_whole_head_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: 40 silent connections and 40 with half a head were open after 213 s."""
    monkeypatch.setattr("axonstream.gateway.http.connections.HEAD_S", 0.5)
    connections = Connections(100, 100)

    async def dripping(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        for byte in GET * 1000:
            writer.write(bytes([byte]))
            if (await asyncio.wait([reading], timeout=0.05))[0]:
                break
        writer.close()
        return await reading

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(connections) as port:
            silent, half, later, rest, dripped = await asyncio.gather(
                answer(port),
                answer(port, [GET]),
                answer(port, [request(b"whole") + GET]),
                answer(port, [request(b"0123456789").replace(b"/event", b"/nothing")[:-5]]),
                dripping(port),
            )
            await until(lambda: connections.open == 0, "all places are free again", PATIENCE_S)
        assert silent == b""
        assert (statuses(half), statuses(later), statuses(dripped)) == ([408], [201, 408], [408])
        assert statuses(rest) == [404]  # answered before its body had come, which never ended
        assert connections.late_heads == 5

    asyncio.run(scenario())


@pytest.mark.slow
def test_an_idle_connection_is_closed_and_one_that_is_answered_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: keep-alive ends; a slow answer does not, also when the next head has begun."""
    monkeypatch.setattr("axonstream.gateway.http.connections.KEEP_ALIVE_S", 0.5)
    monkeypatch.setattr("axonstream.gateway.http.connections.HEAD_S", 0.5)
    connections = Connections(100, 100)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(connections) as port:
            slow = asyncio.create_task(answer(port, [request(b"slow") + GET]))
            came = await answer(port, [request(b"whole")])
            assert statuses(came) == [201]
            assert not slow.done()
            await let_go()
            assert statuses(await slow) == [201, 408]

    asyncio.run(scenario())


def test_connections_are_capped_in_total_and_an_idle_one_makes_room() -> None:
    """S9: 20,000 connections and the gateway took nobody in."""
    connections = Connections(3, 100)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(connections) as port:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            idle_writer.write(request(b"whole"))
            assert (await idle.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
            await until(lambda: bool(connections.idle), "one is idle", PATIENCE_S)
            assert statuses(await answer(port, [request(b"x", head=CLOSE)])) == [201]
            assert (await idle.read()).endswith(b"}")  # closed
            fourth = await asyncio.open_connection("127.0.0.1", port)
            refused = await answer(port)
            assert statuses(refused) == [503]
            assert b"retry-after: 1\r\n" in refused
            assert connections.refused == {"total": 1, "address": 0}
            for _, writer in [*silent, fourth, (idle, idle_writer)]:
                writer.close()
            await until(lambda: connections.open == 0, "all have left", PATIENCE_S)
            assert statuses(await answer(port, [request(b"x", head=CLOSE)])) == [201]

    asyncio.run(scenario())


@pytest.mark.slow
def test_who_says_nothing_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: silent connections from two addresses, renewed every 10 s, had all places, and everybody else got 503."""
    monkeypatch.setattr("axonstream.gateway.http.connections._LONG_FOR_A_HEAD_S", 0.0)
    connections = Connections(3, 100)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(connections) as port:
            slow = asyncio.create_task(answer(port, [request(b"slow", head=CLOSE)]))
            await until(lambda: connections.open == 1, "it is being answered", PATIENCE_S)
            half = asyncio.create_task(answer(port, [GET]))
            await until(lambda: connections.open == 2, "half a head has come", PATIENCE_S)
            silent = asyncio.create_task(answer(port))
            await until(lambda: connections.open == 3, "all places are taken", PATIENCE_S)
            for _ in range(2):
                assert statuses(await answer(port, [request(b"x", head=CLOSE)])) == [201]
            assert (statuses(await half), await silent) in (([408], b""), ([], b""))
            await let_go()
            assert statuses(await slow) == [201]
            assert connections.refused == {"total": 0, "address": 0}

    asyncio.run(scenario())


def test_connections_are_capped_by_address() -> None:
    """S9: an address has its share, an IPv6 network counts as one; loopback is not counted, nor is a socket file."""
    connections = Connections(1000, 2)
    for address in ("10.0.0.1", "::ffff:10.0.0.2", "2001:db8::1"):
        assert connections.take(address) is not None
    assert connections.take("10.0.0.1") is not None
    assert connections.take("10.0.0.1") is None
    assert connections.take("2001:db8::ffff:2") is not None
    assert connections.take("2001:db8::3") is None
    assert connections.take("2001:db8:0:1::1") is not None
    for address in ("127.0.0.1", "::1", None):
        assert all(connections.take(address) is not None for _ in range(5))
    assert connections.refused == {"total": 0, "address": 2}

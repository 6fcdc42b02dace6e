"""A TCP proxy before ClickHouse that holds requests back, or lets them through and drops the answer."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum, auto
from urllib.parse import unquote_plus, urlsplit

INSERT_EVENTS = b"INSERT INTO events_log"
_HOST = re.compile(rb"Host: [^\r\n]*")


class Fate(Enum):
    """What happens to one request."""

    PASS = auto()
    DROP_ANSWER = auto()  # the server gets it and answers; the client's connection breaks
    CLAIM = auto()  # the server never gets it; the client is told that `claimed` rows were written
    HOLD = auto()  # the server gets it when `release` is called, even if the client has left


class CuttingProxy:
    """`fate` is asked for each INSERT of events; every other request passes."""

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.fate: Callable[[], Fate] = lambda: Fate.PASS
        self.claimed = 0
        self.cut = 0
        self.held = 0
        self.delivered = 0
        self._release = asyncio.Event()
        self._host, self._port = host, port
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def release(self) -> None:
        """The held requests go to the server now."""
        self._loop.call_soon_threadsafe(self._release.set)

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 26)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _message(reader)
            inserts = (
                INSERT_EVENTS in request or INSERT_EVENTS in unquote_plus(request[:4096].decode("latin1")).encode()
            )
            fate = self.fate() if inserts else Fate.PASS
            if fate is Fate.CLAIM:
                self.cut += 1
                summary = b'X-ClickHouse-Summary: {"written_rows":"%d"}' % self.claimed
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + summary + b"\r\n\r\n")
                continue
            if fate is Fate.HOLD:
                self.held += 1
                await self._release.wait()
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
            try:
                server_writer.write(_HOST.sub(f"Host: {self._host}:{self._port}".encode(), request, count=1))
                answer = await _message(server_reader)
            finally:
                server_writer.close()
            if fate is Fate.HOLD:
                self.delivered += 1
            if fate is Fate.DROP_ANSWER:
                self.cut += 1
                return
            writer.write(answer)
            await writer.drain()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message, whole: its length is told, or it comes in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        pieces = [head]
        while True:
            size = await reader.readuntil(b"\r\n")
            count = int(size.split(b";")[0], 16)
            pieces += [size, await reader.readexactly(count + 2)]
            if not count:
                return b"".join(pieces)
    at = lower.find(b"content-length:")
    length = int(lower[at + 15 : lower.index(b"\r\n", at)]) if at >= 0 else 0
    return head + await reader.readexactly(length)


@contextmanager
def cutting_proxy(clickhouse_url: str) -> Generator[CuttingProxy]:
    """Listening on a loopback port, in a thread of its own; `url` stands for ClickHouse's."""
    target = urlsplit(clickhouse_url)
    assert target.hostname is not None
    assert target.port is not None
    loop = asyncio.new_event_loop()
    proxy = CuttingProxy(target.hostname, target.port, loop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result(10)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

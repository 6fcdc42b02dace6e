"""A TCP proxy before a Kafka broker that loses the answers to produce requests: the broker has the records by then."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import Enum, auto

_LENGTH = struct.Struct(">i")
_API_KEY = struct.Struct(">h")
_PRODUCE = 0


class Answers(Enum):
    """What happens to the answers to produce requests."""

    PASS = auto()
    LOSE_NEXT = auto()  # the connection breaks before the next one; later ones pass
    HOLD = auto()  # none comes, and the connection stays open


class LostAnswers:
    """Clients that begin at `address` stay on the proxy: it says its own port where the broker's stood."""

    def __init__(self, bootstrap_server: str) -> None:
        self.answers = Answers.PASS
        self.lost = 0
        self.address = ""
        self._host, _, port = bootstrap_server.rpartition(":")
        self._port = int(port)
        self._own_port = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self._own_port = server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self._own_port}"
        return server

    async def break_off(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            broker, to_broker = await asyncio.open_connection(self._host, self._port)
            try:
                await self._serve(client, to_client, broker, to_broker)
            finally:
                to_broker.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # asyncio's streams log a connection that ends as cancelled
        finally:
            to_client.close()
            self._connections.discard(task)

    async def _serve(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        broker: asyncio.StreamReader,
        to_broker: asyncio.StreamWriter,
    ) -> None:
        """One request after the other; Kafka answers in order anyway."""
        while True:
            request = await _frame(client)
            to_broker.write(request)
            answer = await _frame(broker)
            if _API_KEY.unpack_from(request, _LENGTH.size) == (_PRODUCE,):
                if self.answers is Answers.LOSE_NEXT:
                    self.answers = Answers.PASS
                    self.lost += 1
                    return
                if self.answers is Answers.HOLD:
                    self.lost += 1
                    await client.read()
                    return
            to_client.write(answer.replace(self._place(self._port), self._place(self._own_port)))
            await to_client.drain()

    def _place(self, port: int) -> bytes:
        return self._host.encode() + _LENGTH.pack(port)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(_LENGTH.size)
    return length + await reader.readexactly(*_LENGTH.unpack(length))


@asynccontextmanager
async def lost_answers(bootstrap_server: str) -> AsyncGenerator[LostAnswers]:
    """Listening on a loopback port; what it proxies for must be one broker that is known by this host:port."""
    proxy = LostAnswers(bootstrap_server)
    server = await proxy.listen()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.break_off()

"""A thousand live streams on one gateway, some of which take nothing: bounded memory, and the others get everything."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from axonstream.gateway.live.stream import STALL_S
from kit.live_gateways import live_gateways
from kit.running_stack import HEADERS
from kit.soak_report import FaultRow, SoakReport
from kit.until import until

pytestmark = pytest.mark.services

SMALL_BUFFER = 16 << 10
RING_BYTES = 4 << 20
BYTES_OF_A_STREAM = 96 << 10  # what one that takes nothing may cost, with the objects of its connection
ALLOWANCE = 24 << 20  # the ring, requests under way, what the allocator keeps


class Crowd:
    """Raw connections: `seen[i]` counts the events of those that read."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._address = (target.hostname or "", target.port or 0)
        self.seen: list[int] = []
        self.open = 0

    @asynccontextmanager
    async def stream(self, path: str, *, reads: bool) -> AsyncGenerator[None]:
        """An open stream, of which everything is read or nothing but its headers."""
        connection = socket.socket()
        if not reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, self._address)
        reader, writer = await asyncio.open_connection(sock=connection, limit=SMALL_BUFFER)
        lines = [f"GET {path} HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in HEADERS.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        self.open += 1
        reading = asyncio.create_task(self._read(reader)) if reads else None
        try:
            yield
        finally:
            if reading is not None:
                reading.cancel()
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        number = len(self.seen)
        self.seen.append(0)
        rest = b""
        while chunk := await reader.read(1 << 16):
            self.seen[number] += (rest + chunk).count(b"event: message") - rest.count(b"event: message")
            rest = chunk[-20:]


def test_a_thousand_streams_take_bounded_memory(kafka_bootstrap: str, soak: bool, soak_report: SoakReport) -> None:
    reading, stalled, events = (800, 200, 1500) if soak else (150, 50, 600)

    async def publish(client: httpx.AsyncClient, channel: int, number: int, size: int) -> None:
        for _ in range(number // 10):
            event = {"identifier": "step", "payload": {"text": "x" * size}, "channel_id": channel}
            assert (await client.post("/events", json=[event] * 10)).json()["accepted"] == 10

    async def scenario() -> None:
        gateway = psutil.Process(gateways.processes[0].pid)
        crowd = Crowd(gateways.urls[0])
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60)
            )
            await publish(client, 2, 10, 10)
            began, before = monotonic(), gateway.memory_info().rss
            for number in range(reading):
                await stack.enter_async_context(crowd.stream("/channel/2/subscribe", reads=True))
                if number < stalled:
                    await stack.enter_async_context(crowd.stream("/channel/1/subscribe", reads=False))
            opened = gateway.memory_info().rss
            peak = 0
            for _ in range(10):
                await publish(client, 1, events // 10, 10_000)  # for those that take nothing
                await publish(client, 2, 20, 200)
                peak = max(peak, gateway.memory_info().rss)
            await until(lambda: crowd.seen == [200] * reading, "everybody who reads has all", 60)
            peak = max(peak, gateway.memory_info().rss)
        each, most = (opened - before) // (reading + stalled), peak - before
        note = (
            f"{reading} read 200 events each, {stalled} took nothing of {events * 10_000 >> 20} MB: "
            f"{each >> 10} KB an open stream, peak {most >> 20} MB above idle"
        )
        soak_report.add(
            FaultRow(
                fault="live streams that take nothing",
                injected=stalled,
                acknowledged=events + 200,
                stored=0,
                seconds=round(monotonic() - began),
                note=note,
            )
        )
        assert most < ALLOWANCE + (reading + stalled) * BYTES_OF_A_STREAM

    with live_gateways(kafka_bootstrap, live_buffer_bytes=RING_BYTES) as gateways:
        asyncio.run(scenario())


@pytest.mark.soak
def test_a_reader_that_takes_nothing_for_half_a_minute_is_cut_off(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        gateway = psutil.Process(gateways.processes[0].pid)
        crowd = Crowd(gateways.urls[0])

        def open_connections() -> int:
            return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in gateway.net_connections())

        port = urlsplit(gateways.urls[0]).port
        async with crowd.stream("/channel/1/subscribe", reads=False), crowd.stream("/live", reads=True):
            async with httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client:
                event = {"identifier": "step", "payload": {"text": "x" * 10_000}, "channel_id": 1}
                for _ in range(100):
                    await client.post("/events", json=[event] * 10)
            await until(lambda: open_connections() == 1, "only the one who reads is left", STALL_S + 30)
            assert crowd.seen == [1000]

    with live_gateways(kafka_bootstrap) as gateways:
        asyncio.run(scenario())

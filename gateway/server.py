"""The gateway as a process: uvicorn on uvloop and httptools.

Measured against granian with one worker each (a trivial POST on 2 shared cores, 32 connections, five interleaved turns
of 4 s): uvicorn 18,800-22,000 requests/s, p99 2.9-4.0 ms; granian 16,000-18,000 requests/s, p99 4.8-6.6 ms.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from socket import socket

import uvicorn

from gateway.app import create_app
from gateway.http_protocol import GatewayProtocol
from producers.settings import Settings

_DRAIN_S = 15
_KEEP_ALIVE_S = 75
_SWITCH_S = 0.001  # a thread that takes apart what ClickHouse sent gives way to the event loop; Python's own is 5 ms


class _Server(uvicorn.Server):
    """Says when it is ready, and ends with a clean exit on SIGTERM and SIGINT instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, connected: asyncio.Event, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._connected = connected
        self._announcing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._announcing = asyncio.create_task(self._announce())

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        self._drain()
        await super().shutdown(sockets)

    async def _announce(self) -> None:
        await self._connected.wait()
        print("ready gateway", flush=True)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    1. no new connection is taken, and live streams end at once; 2. requests in flight are answered, publishes after
    Kafka's acknowledgement, for at most 15 s; 3. the producer and the connections close. Prints "ready gateway" once it
    listens and Kafka has answered.
    """
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.setswitchinterval(_SWITCH_S)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="uvloop",
        http=GatewayProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing asks for the address of a sender
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    _Server(config, app.state.connected, app.state.drain).run()

"""The gateway as a process: uvicorn on uvloop and httptools.

Measured against granian with one worker each (a trivial POST on 2 shared cores, 32 connections, five interleaved turns
of 4 s): uvicorn 18,800-22,000 requests/s, p99 2.9-4.0 ms; granian 16,000-18,000 requests/s, p99 4.8-6.6 ms.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from socket import socket
from ssl import SSLContext
from typing import cast

import uvicorn

from axonstream.gateway.app import create_app
from axonstream.gateway.control.api_keys import MAKE_A_KEY
from axonstream.gateway.http.connections import KEEP_ALIVE_S, Connections
from axonstream.gateway.http.fast_path_check import FastPathError, check_fast_path
from axonstream.gateway.http.protocol import GatewayProtocol
from axonstream.gateway.http.tls import TlsError, server_context
from axonstream.gateway.http.tls_handshake import TlsHandshake
from axonstream.kafka.client import survive_closed_transports
from axonstream.process.log_lines import log_to_stderr
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH

log = logging.getLogger(__name__)

_DRAIN_S = 15
_OTHER_FILES = 256  # what Kafka, ClickHouse, logs and the server's own sockets take of the process's open files
_SWITCH_S = 0.001  # a thread that takes apart what ClickHouse sent gives way to the event loop; Python's own is 5 ms


class _Server(uvicorn.Server):
    """Says when it is ready, and ends with a clean exit on SIGTERM and SIGINT instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, connected: asyncio.Event, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._connected = connected
        self._announcing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        try:
            await check_fast_path()
        except FastPathError as error:
            log.critical("the gateway does not start: %s", error)
            sys.exit(EXIT_MISMATCH)
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn has logged what the operating system says
            log.critical(
                "the gateway cannot listen on %s port %d: stop what listens there, or set AXONSTREAM_GATEWAY_PORT",
                self.config.host,
                self.config.port,
            )
            raise
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
    listens and Kafka has answered. Ends with EXIT_MISMATCH where certificate and key cannot be used,
    and where uvicorn offers no fast path.
    """
    log_to_stderr(settings.log_level)
    try:
        tls = server_context(settings)
    except TlsError as error:
        log.critical("the gateway does not start: %s", error)
        sys.exit(EXIT_MISMATCH)
    _tell_how_to_make_keys(settings)
    sys.setswitchinterval(_SWITCH_S)
    survive_closed_transports()
    app = create_app(settings.model_copy(update={"gateway_max_connections": _connections_at_most(settings)}))
    config = uvicorn.Config(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", http_protocol(tls, app.connections)),
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the audit log has the address of the connection, which nobody can claim
        log_config=None,
        timeout_keep_alive=round(KEEP_ALIVE_S),
        timeout_graceful_shutdown=_DRAIN_S,
    )
    _Server(config, app.connected, app.drain).run()


def http_protocol(tls: SSLContext | None, connections: Connections) -> Callable[..., asyncio.Protocol]:
    """What makes the protocol of a connection, which has its place among `connections` from its beginning."""
    if tls is None:
        return partial(GatewayProtocol, connections=connections)
    return partial(TlsHandshake, tls, connections, GatewayProtocol)


def _tell_how_to_make_keys(settings: Settings) -> None:
    """One line of the log where the settings have no key, so that an operator does not look for one."""
    if settings.tenants_by_key():
        return
    first = "" if settings.server_secret.get_secret_value() else "set AXONSTREAM_SERVER_SECRET for every gateway, then "
    log.warning("AXONSTREAM_API_KEYS has no key: %smake one with `%s`", first, MAKE_A_KEY)


def _connections_at_most(settings: Settings) -> int:
    """As many as the settings say, and the limit of open files has room for; that is raised as far as it may be."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    room = settings.gateway_max_connections
    if most_files != resource.RLIM_INFINITY:
        room = max(1, min(room, most_files - _OTHER_FILES))
    if room < settings.gateway_max_connections:
        log.warning("at most %d connections: the process may have %d files open (ulimit -n)", room, most_files)
    return room

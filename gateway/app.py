"""The gateway as an ASGI application: its parts, its one dispatcher, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from axonstream.gateway.control.audit_trail import AuditLimits
from axonstream.gateway.control.key_use import KeyUses
from axonstream.gateway.control.log import Control
from axonstream.gateway.deleting.markers import Markers
from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.http.request_head import RequestHead, allowed_hosts
from axonstream.gateway.parts import Parts
from axonstream.gateway.publishing.ingest import Log
from axonstream.gateway.routing.dispatcher import Dispatcher
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.settings.settings import Settings
from axonstream.unix_ms import now_ms

log = logging.getLogger(__name__)

_RECONNECT_S = 0.5


class Gateway(Starlette):
    """Requests go to the dispatcher. Starlette runs what starts and stops with the server.

    `connected` is set once Kafka has answered and the control data is read. Until then publishing answers 503, and so
    does everything that asks for a key which is not one of the settings.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(lifespan=self._running)
        hosts = allowed_hosts(parts.settings.gateway_host, parts.settings.gateway_hosts)
        self.dispatcher = Dispatcher(parts.routes(), RequestHead(hosts), parts.authentication, parts.room, parts.counts)
        self.connected = asyncio.Event()
        self.connections = parts.connections
        self.drain = parts.live.drain
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.dispatcher(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    @asynccontextmanager
    async def _running(self, _: Starlette) -> AsyncGenerator[None]:
        parts, control = self._parts, self._parts.control
        background = [
            asyncio.create_task(self._connect()),
            asyncio.create_task(parts.lag.run()),
            asyncio.create_task(KeyUses(control, now_ms).run()),
            asyncio.create_task(parts.deletions.run()),
            asyncio.create_task(AuditLimits(control.data.audit, control, lambda: control.data.loaded).run()),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await parts.live.close()
            await asyncio.gather(parts.log.stop(), control.stop())
            await parts.visibility.close()
            await parts.offsets.close()
            await parts.clickhouse.close()

    async def _connect(self) -> None:
        await asyncio.gather(_started(self._parts.log), self._parts.control.start())
        try:
            await self._parts.deletions.repeat_lost()  # before events come that it would take in
        except UnavailableError as error:
            log.warning("deletions are looked at later: %s", error)
        self.connected.set()


def create_app(
    settings: Settings, event_log: Log | None = None, control: Control | None = None, markers: Markers | None = None
) -> Gateway:
    """The application; tests give it parts of their own in the place of those that need Kafka."""
    return Gateway(Parts(settings, event_log, control, markers))


async def _started(event_log: Log) -> None:
    while True:
        try:
            return await event_log.start()
        except NotAcknowledgedError as error:
            log.warning("waiting for Kafka: %s", error)
            await asyncio.sleep(_RECONNECT_S)

"""The gateway without Kafka: the same application over an event log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from pydantic import SecretStr

from axonstream.contract.deletion import Deletion
from axonstream.contract.event_record import EventRecord
from axonstream.gateway.app import create_app
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.producers.append_counts import AppendCounts, Backlog
from axonstream.settings.settings import Settings
from kit.memory_control import MemoryControl

SERVER_SECRET = "the secret of a server of tests"
HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}


@dataclass
class MemoryLog:
    """An event log that acknowledges at once, or not at all; what holds the bytes `stuck` it never answers."""

    records: list[EventRecord] = field(default_factory=list)
    acknowledges: bool = True
    stuck: bytes = b""
    waiting: int = 0  # of those never answered
    at_ms: int | None = None  # by the broker's clock
    counts: AppendCounts = field(default_factory=AppendCounts)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, records: Sequence[EventRecord]) -> int | None:
        if self.stuck and any(self.stuck in record.value for record in records):
            self.waiting += 1
            await asyncio.Event().wait()
        if not self.acknowledges:
            raise NotAcknowledgedError("Kafka did not acknowledge within 10 ms")
        self.records.extend(records)
        self.counts.events += len(records)
        return self.at_ms

    def backlog(self) -> Backlog:
        return Backlog(0, 0, 0, 0)


@dataclass
class MemoryMarkers:
    """Markers in memory: each deletion of `appended` stands at the offset 7 of two partitions."""

    appended: list[tuple[str, Deletion]] = field(default_factory=list[tuple[str, Deletion]])
    acknowledges: bool = True
    gone: set[int] = field(default_factory=set[int])

    async def lost(self, deletions: Sequence[Deletion]) -> set[int]:
        return self.gone.intersection(deletion.id for deletion in deletions)

    async def append(self, tenant_id: str, deletion: Deletion) -> Deletion:
        if not self.acknowledges:
            raise UnavailableError("Kafka did not acknowledge the deletion in time", "Ask again.")
        self.appended.append((tenant_id, deletion))
        return replace(deletion, topic_id="log", bounds=(7, 7))


class OfflineGateway:
    """Sends single requests to the application in this process; nothing listens, nothing else runs."""

    def __init__(self, log: MemoryLog | None = None, **changes: Any) -> None:
        settings = Settings(
            kafka_bootstrap_servers="127.0.0.1:1",
            clickhouse_url="http://127.0.0.1:1",
            api_keys=SecretStr("ak_local=1,ak_other=2"),
            read_wait_ms=200,
            server_secret=SecretStr(SERVER_SECRET),
        ).model_copy(update=changes)
        self.log = MemoryLog() if log is None else log
        self.control = MemoryControl(ControlData(settings.server_secret.get_secret_value().encode()))
        self.markers = MemoryMarkers()
        self.app = create_app(settings, self.log, self.control, self.markers)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer to one request; with the local key's headers unless others are given."""
        request.setdefault("headers", HEADERS)
        return asyncio.run(self._send(method, path, request))

    def client(self) -> httpx.AsyncClient:
        """For several requests at once, in an event loop of the caller's."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def paths(self) -> set[str]:
        """The paths of every route, as OpenAPI writes them."""
        return self.app.dispatcher.table.labels

    async def _send(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        async with self.client() as client:
            return await client.request(method, path, **request)

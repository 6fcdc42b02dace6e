"""AxonPush, AsyncAxonPush and KafkaPublisher as plain calls, through the real gateway or not, into a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import httpx

from axonstream import AsyncAxonPush, AxonPush, BatchResult, KafkaPublisher
from axonstream.contract.event import Event, decode_event
from axonstream.contract.event_record import EventRecord
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.topics import event_key
from kit.offline_gateway import HEADERS, MemoryLog, OfflineGateway

KINDS = ("AxonPush", "AsyncAxonPush", "KafkaPublisher")


class OnePublisher:
    """One of the three, of tenant 1. `options` are its constructor's."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind = kind
        self._options = options
        self._gateway = OfflineGateway()

    @property
    def log(self) -> MemoryLog:
        return self._gateway.log

    def publish(self, **event: Any) -> EventRecord:
        """The record that was acknowledged."""
        self._run("publish", event)
        return self.log.records[-1]

    def publish_many(self, events: Iterable[Any]) -> BatchResult:
        return self._run("publish_many", {"events": events})

    def events(self) -> list[Event]:
        """What was acknowledged, as sink and processor see it; none of it may be a dead letter."""
        judged = [validate_record(event_key(record.trace_id), record.value) for record in self.log.records]
        assert [one for one in judged if isinstance(one, ValidationFailure)] == []
        return [decode_event(record.value) for record in self.log.records]

    def _run(self, call: str, arguments: dict[str, Any]) -> Any:
        if self.kind == "AxonPush":
            transport = httpx.MockTransport(self._answer)
            with AxonPush("ak_local", 1, transport=transport, max_retries=0, **self._options) as client:
                return getattr(client.events, call)(**arguments)

        async def run() -> Any:
            client = self._asynchronous()
            async with client:
                target = client.events if isinstance(client, AsyncAxonPush) else client
                result: Awaitable[Any] = getattr(target, call)(**arguments)
                return await result

        return asyncio.run(run())

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = self._gateway.send(
            request.method, request.url.raw_path.decode(), content=request.content, headers=HEADERS
        )
        return httpx.Response(answer.status_code, headers={"Date": "x"}, content=answer.content)

    def _asynchronous(self) -> AsyncAxonPush | KafkaPublisher:
        if self.kind == "AsyncAxonPush":
            transport = httpx.ASGITransport(self._gateway.app, raise_app_exceptions=False)
            return AsyncAxonPush("ak_local", 1, transport=transport, max_retries=0, **self._options)
        publisher = KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id=1, **self._options)
        publisher._log = self.log  # pyright: ignore[reportAttributeAccessIssue]  what it needs of an EventLog
        return publisher

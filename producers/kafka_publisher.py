"""Publish events straight to Kafka, for services that sit beside the broker: the HTTP publisher's contract, no hop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack

from axonstream.calls import tenant_of
from axonstream.contract.event_ids import EventIds
from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.contract.json_shape import too_many_values
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.errors import AxonStreamError, ClientClosedError, ValidationError
from axonstream.event_contract import MAX_EVENT_BYTES, MAX_VALUES, EventInput, trace_id_of
from axonstream.event_fields import EventFields
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.topics import event_key
from axonstream.outgoing_event import (
    OutgoingEvent,
    given_event,
    nothing_left,
    outgoing_batch,
    outgoing_event,
    too_large,
)
from axonstream.producers.event_log import EventLog
from axonstream.results import BatchResult, RefusedEvent

_SEND_LESS = "Write what is so large or so deep as text, or leave it out; nothing of the event was sent."


@dataclass(frozen=True, slots=True)
class _Waiting:
    record: EventRecord
    size: int


class KafkaPublisher:
    """Idempotent, acks=all, keyed by trace_id.

        async with KafkaPublisher(bootstrap_servers="127.0.0.1:9092", tenant_id="1") as publisher:
            await publisher.publish("web_search", {"query": "AI"}, channel_id=1, event_type="agent.tool_call.start")

    Its contract is that of AxonPush: it takes the same values, writes the same JSON and raises the errors of
    `axonstream.errors`. It validates each event as sink and processor do, so
    no acknowledged event becomes a dead letter.

    `publish` and `publish_many` return when Kafka has acknowledged, or raise NotAcknowledgedError, which is an
    APIConnectionError. With `wait=False` an event goes into a buffer of at most `max_buffered_bytes`. The call waits
    while it is full. `flush`, or leaving the context, waits for all of it and raises if any was not acknowledged.

    Not promised: that an event whose publish raised is not stored. Publish it again with the same `dedup_key`.
    Order holds within a trace for calls that follow each other, not between calls under way at once.

    `kafka` takes further options of aiokafka's clients (security_protocol, ssl_context, sasl_...).
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        tenant_id: str | int,
        topic: str = "agent-events",
        timeout_ms: int = 30_000,
        max_buffered_bytes: int = 64 << 20,
        environment: str | None = None,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        self._tenant_id = tenant_of(tenant_id)
        self._environment = environment
        self._log = EventLog(
            topic=topic, timeout_ms=timeout_ms, kafka={**(kafka or {}), "bootstrap_servers": bootstrap_servers}
        )
        self._ids = EventIds()
        self._max_buffered_bytes = max_buffered_bytes
        self._buffered_bytes = 0
        self._waiting: list[_Waiting] = []
        self._room = asyncio.Condition()
        self._pump: asyncio.Task[None] | None = None
        self._failed = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Connect. Raises NotAcknowledgedError when no broker answers."""
        await self._log.start()

    async def close(self) -> None:
        """Flush, then disconnect, whatever the flush said. The publisher cannot be used after it."""
        self._closed = True
        try:
            await self.flush()
        finally:
            await self._log.stop()

    async def publish(
        self,
        identifier: str,
        payload: Mapping[str, Any],
        channel_id: int | str,
        *,
        wait: bool = True,
        **fields: Unpack[EventFields],
    ) -> EventRecord:
        """Publish one event; without `trace_id` in the current trace, or else in a trace of its own.

        The record's `received_at` is Kafka's time, which every read shows; without waiting it is this process's.
        Raises axonstream's ValidationError and PayloadTooLargeError for an event that breaks the contract, and
        NotAcknowledgedError (when waiting).
        """
        self._not_closed()
        given = given_event(identifier, payload, channel_id, fields)
        record = self._encode(outgoing_event(given, self._environment))
        if not wait:
            await self._buffer(record)
            return record
        at_ms = await self._log.append([record])
        return record if at_ms is None else record._replace(received_at=at_ms)

    async def publish_many(self, events: Iterable[EventInput | Mapping[str, Any]]) -> BatchResult:
        """Publish many events and wait for all; one that is wrong is in `rejected` and takes no other with it.

        Raises ValidationError when nothing was stored of a batch that is not empty. After NotAcknowledgedError any
        part of it may be stored: repeat the call with events that carry dedup keys.
        """
        self._not_closed()
        batch = outgoing_batch(events, self._environment)
        records: list[EventRecord] = []
        rejected = list(batch.refused)
        for place, event in zip(batch.places, batch.events, strict=True):
            try:
                records.append(self._encode(event))
            except AxonStreamError as error:
                rejected.append(RefusedEvent(index=place, message=error.message))
        rejected.sort(key=lambda one: one.index)
        if rejected and not records:
            raise nothing_left(rejected)
        await self._log.append(records)
        ids = tuple(record.event_id for record in records)
        return BatchResult(accepted=len(records), rejected=tuple(rejected), ids=ids)

    @property
    def buffered_bytes(self) -> int:
        """Bytes of encoded events that wait for Kafka's acknowledgement because of `wait=False`."""
        return self._buffered_bytes

    async def flush(self) -> None:
        """Wait until nothing is buffered; raises NotAcknowledgedError, naming how many events Kafka did not take."""
        if self._pump is not None:
            await asyncio.shield(self._pump)  # a flush that is given up does not give up the events
        failed, self._failed = self._failed, 0
        if failed:
            raise NotAcknowledgedError(f"Kafka did not acknowledge {failed} buffered events; publish them again")

    def _not_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("the publisher has been closed", hint="Make a new one, or close this one later.")

    def _encode(self, sent: OutgoingEvent) -> EventRecord:
        event = sent.event
        now_ms = time.time_ns() // 1_000_000
        record = encode_event(
            event,
            tenant_id=self._tenant_id,
            trace_id=event.trace_id or trace_id_of(self._tenant_id, event.dedup_key or ""),
            fresh_id=self._ids.next(now_ms),
            now_ms=now_ms,
            payload=sent.payload,
            metadata=sent.metadata,
        )
        if len(record.value) > MAX_EVENT_BYTES:
            raise too_large()
        if too_many_values(record.value):
            raise ValidationError(f"the event has more than {MAX_VALUES} values", hint=_SEND_LESS)
        judged = validate_record(event_key(record.trace_id), record.value)
        if isinstance(judged, ValidationFailure):
            raise ValidationError(judged.reason, hint=_SEND_LESS)
        return record

    async def _buffer(self, record: EventRecord) -> None:
        size = len(record.value)
        async with self._room:
            await self._room.wait_for(
                lambda: not self._buffered_bytes or self._buffered_bytes + size <= self._max_buffered_bytes
            )
            self._buffered_bytes += size
            self._waiting.append(_Waiting(record, size))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._log.append([waiting.record for waiting in batch])
            except NotAcknowledgedError:
                self._failed += len(batch)
            finally:
                async with self._room:
                    self._buffered_bytes -= sum(waiting.size for waiting in batch)
                    self._room.notify_all()

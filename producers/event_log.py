"""Append encoded events to the topic agent-events, and return when Kafka has acknowledged them (guarantee G1)."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from producers.errors import NotAcknowledgedError
from producers.event_record import EventRecord
from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics, event_key
from producers.verdict import MAX_RECORD_BYTES

log = logging.getLogger(__name__)

BATCH_FROM = 16  # records of one append from which closed batches cost less than one send each
BATCH_BYTES = 512 << 10


class EventLog:
    """An idempotent producer with acks=all.

    `append` returns once every record is acknowledged, in order within a trace, or raises NotAcknowledgedError; a
    record that was not acknowledged may be stored all the same. Memory is bounded by what the callers wait for:
    nothing is held for a caller that has been answered. After an error the producer is replaced, because a batch
    that expired or was refused leaves a hole in its sequence numbers, and the broker takes nothing after a hole.
    """

    def __init__(self, *, topic: str, timeout_ms: int, kafka: dict[str, Any]) -> None:
        self._topic = topic
        self._timeout_ms = timeout_ms
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    @classmethod
    def from_settings(cls, settings: Settings) -> EventLog:
        """The log of the gateway's settings."""
        return cls(
            topic=Topics(settings.topic_prefix).events,
            timeout_ms=settings.publish_timeout_ms,
            kafka=kafka_options(settings),
        )

    async def start(self) -> None:
        """Connect. Raises NotAcknowledgedError when no broker answers."""
        await self._live_producer()

    async def stop(self) -> None:
        """Wait for what is in flight, and close; without Kafka, give up after the time that an append has.

        An idempotent producer sends a batch again until Kafka takes it, so without a limit this could wait for ever.
        """
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._close(producer)
        if self._retired:
            _, late = await asyncio.wait(self._retired, timeout=self._timeout_ms / 1000)
            for closing in late:
                closing.cancel()

    async def append(self, records: Sequence[EventRecord]) -> None:
        """Append and wait for the acknowledgement of every record."""
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                producer = await self._live_producer()
                try:
                    await self._send(producer, records)
                except KafkaError as error:
                    self._retire(producer)
                    raise NotAcknowledgedError(f"Kafka did not acknowledge: {error!r}") from error
        except TimeoutError:
            raise NotAcknowledgedError(f"Kafka did not acknowledge within {self._timeout_ms} ms") from None

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[EventRecord]) -> None:
        if len(records) < BATCH_FROM:
            sent = [
                await producer.send(self._topic, record.value, key=event_key(record.trace_id)) for record in records
            ]
        else:
            sent = await self._send_batches(producer, records)
        await asyncio.wait(sent)  # not gather: a caller that is cancelled must not cancel a batch that others share
        for error in [future.exception() for future in sent]:
            if error is not None:
                raise error

    async def _send_batches(
        self, producer: AIOKafkaProducer, records: Sequence[EventRecord]
    ) -> list[asyncio.Future[Any]]:
        partitions = sorted(await producer.partitions_for(self._topic))
        by_partition: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for record in records:
            key = event_key(record.trace_id)
            by_partition[producer._partitioner(key, partitions, partitions)].append((key, record.value))
        sent: list[asyncio.Future[Any]] = []
        for partition, pairs in by_partition.items():
            batch = producer.create_batch()
            for key, value in pairs:
                if batch.append(key=key, value=value, timestamp=None) is None:
                    sent.append(await producer.send_batch(batch, self._topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            sent.append(await producer.send_batch(batch, self._topic, partition=partition))
        return sent

    async def _live_producer(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._renewing:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._kafka,
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=MAX_RECORD_BYTES + (64 << 10),
                    request_timeout_ms=self._timeout_ms,
                    linger_ms=0,
                )
                try:
                    await producer.start()
                    await producer.partitions_for(self._topic)
                except KafkaError as error:
                    await producer.stop()
                    raise NotAcknowledgedError(f"no Kafka broker answers: {error!r}") from error
                except asyncio.CancelledError:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """The next append makes a new producer; this one finishes what others still wait for."""
        if self._producer is not producer:
            return
        self._producer = None
        log.warning("the Kafka producer failed and is replaced")
        self._close(producer)

    def _close(self, producer: AIOKafkaProducer) -> None:
        async def close() -> None:
            with suppress(KafkaError):  # every append on it has had its own error already
                await producer.stop()

        task = asyncio.create_task(close())
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

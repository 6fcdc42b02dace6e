"""The producer side of chunked://: whole batches, queued at once, in order, and sent only under a lease."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest
from faust.transport.drivers import aiokafka as driver

from axonstream.kafka.lease import Lease
from axonstream.kafka.topics import FENCE_KEY
from axonstream.process.fail_stop import stop_process
from axonstream.stream_processors.changelog_fence import fence_partitions
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.output_record import OutputRecord
from axonstream.stream_processors.queue_in_turn import QueueInTurn

LEASE_POLL_S = 0.02
LEASE_GIVEN_UP_S = 60.0  # a member that no longer beats may never beat again; a new life reads what is not committed


class ChunkedProducer(driver.Producer):
    """Idempotent with acks=all, where Faust is so only for exactly_once (I2 and I4 need it)."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        client = producer.client
        send = client.send

        async def send_under_lease(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                lease: Lease = cast("Any", self.app.consumer).lease
                await client.ready(node_id)  # connecting may take long: it must be over before the lease is checked
                polls = 0
                while not lease.held():  # I8
                    polls += 1
                    if polls * LEASE_POLL_S > LEASE_GIVEN_UP_S:
                        stop_process(BrokenInvariantError("no heartbeat was accepted for too long, with output queued"))
                    await asyncio.sleep(LEASE_POLL_S)
            return await send(node_id, request, **options)

        client.send = send_under_lease
        return producer

    async def take_over(self, topic: str, partitions: Iterable[int]) -> None:
        """Returns when no earlier owner can write to these partitions any more (I17). Raises KafkaError."""

        async def write(partition: TopicPartition) -> None:
            for acknowledged in self.queue(partition.topic, partition.partition, [(FENCE_KEY, b"")]):
                await acknowledged

        await fence_partitions(
            self._ensure_producer(), [TopicPartition(topic, partition) for partition in partitions], write
        )

    def queue(
        self, topic: str, partition: int, records: Iterable[OutputRecord], after: Sequence[Future[Any]] = ()
    ) -> list[Future[Any]]:
        """Queue (key, value, *headers) records; returns the acknowledgements to come, one a batch.

        They are sent at once, or when everything in `after` is acknowledged (I18).

        I2: nothing is awaited and every batch is closed, so two calls for one partition reach Kafka in their order;
        aiokafka has one batch of a partition in flight, and idempotence keeps the order when one is sent again.
        """
        producer = self._ensure_producer()
        accumulator = producer._message_accumulator
        if accumulator._exception is not None:
            raise BrokenInvariantError(f"the producer is broken: {accumulator._exception!r}")
        tp = TopicPartition(topic, partition)
        batches = list(_batches(producer.create_batch, records))
        return self._in_turn.queue(tp, batches, after)

    @cached_property
    def _in_turn(self) -> QueueInTurn[TopicPartition, BatchBuilder]:
        return QueueInTurn(self._append)

    def _append(self, tp: TopicPartition, batch: BatchBuilder) -> Future[Any]:
        return self._ensure_producer()._message_accumulator._append_batch(batch, tp).future


def _batches(create_batch: Callable[[], BatchBuilder], records: Iterable[OutputRecord]) -> Iterator[BatchBuilder]:
    """Closed batches of `records`, in their order.

    Goes past BatchBuilder.append, which takes nearly twice as long: it serializes, counts, and looks whether it is
    closed.
    """
    batch, count = create_batch(), 0
    append: Callable[..., object] = batch._builder.append
    for key, value, *headers in records:
        if append(count, None, key, value, headers) is None:  # it is full
            if count:
                yield _closed(batch, count)
            batch, count = create_batch(), 0
            append = batch._builder.append
            if append(count, None, key, value, headers) is None:
                raise BrokenInvariantError(f"a record of {len(value or b'')} bytes does not fit into a batch")
        count += 1
    if count:
        yield _closed(batch, count)


def _closed(batch: BatchBuilder, count: int) -> BatchBuilder:
    batch._relative_offset = count  # how many records it holds
    batch.close()
    return batch

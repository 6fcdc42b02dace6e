"""The producer side of chunked://: whole batches, queued at once, in order, and sent only under a lease."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Iterable, Mapping
from typing import Any, cast

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from faust.transport.drivers import aiokafka as driver

from stream_processors.errors import BrokenInvariantError
from stream_processors.fail_stop import stop_process
from stream_processors.lease import Lease

OutputRecord = tuple[bytes, bytes | None] | tuple[bytes, None, tuple[str, bytes]]  # key, value, header
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

    def queue(self, topic: str, partition: int, records: Iterable[OutputRecord]) -> list[Future[Any]]:
        """Queue (key, value, *headers) records; returns the acknowledgements to come, one a batch.

        I2: nothing is awaited and every batch is closed, so two calls for one partition reach Kafka in their order;
        aiokafka has one batch of a partition in flight, and idempotence keeps the order when one is sent again.
        """
        producer = self._ensure_producer()
        accumulator = producer._message_accumulator
        if accumulator._exception is not None:
            raise BrokenInvariantError(f"the producer is broken: {accumulator._exception!r}")
        tp = TopicPartition(topic, partition)
        futures: list[Future[Any]] = []
        batch = producer.create_batch()
        for key, value, *headers in records:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                futures.append(accumulator._append_batch(batch, tp).future)  # append closed it: it is full
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    raise BrokenInvariantError(f"a record of {len(value or b'')} bytes does not fit into a batch")
        if batch.record_count():
            batch.close()
            futures.append(accumulator._append_batch(batch, tp).future)
        return futures

"""A partition that has too few replicas left holds up its own traces alone; all others go on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from axonstream.contract.event_record import EventRecord
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.partitioner import partition_of
from axonstream.producers.event_log import EventLog
from kit.kafka_cluster import KafkaCluster
from kit.until import until

pytestmark = pytest.mark.services

TIMEOUT_MS = 4000
LATE_S = 10.0  # beyond the deadline, on a busy machine
HEALS_S = 60.0
# Broker 1 leads both; partition 0 has broker 2 for its second replica, partition 1 has broker 3.
REPLICAS = {0: [1, 2], 1: [1, 3]}
SICK, HEALTHY = 0, 1
BESIDE = 40  # appends to the healthy partition while one to the sick partition waits; alone it takes hundreds


def traces_of(partition: int) -> Sequence[str]:
    """Two of them."""
    names = (f"tr_{number}" for number in count())
    found = (name for name in names if partition_of(name.encode(), len(REPLICAS)) == partition)
    return [next(found), next(found)]


class Writer:
    """Appends numbered records, and knows which were acknowledged."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._numbers = count()
        self.acknowledged: list[bytes] = []

    async def append(self, partition: int) -> bool:
        """Whether Kafka acknowledged; if not, within the deadline."""
        value = b"%d" % next(self._numbers)
        trace = traces_of(partition)[0]
        began = monotonic()
        try:
            await self.log.append([EventRecord(1, trace, 0, 0, value)])
        except NotAcknowledgedError:
            assert monotonic() - began < TIMEOUT_MS / 1000 + LATE_S
            return False
        self.acknowledged.append(value)
        return True


@asynccontextmanager
async def written_to(cluster: KafkaCluster, topic: str) -> AsyncGenerator[Writer]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        new = NewTopic(topic, -1, -1, replica_assignments=REPLICAS, topic_configs={"min.insync.replicas": "2"})
        await admin.create_topics([new])
    finally:
        await admin.close()
    log = EventLog(topic=topic, timeout_ms=TIMEOUT_MS, kafka={"bootstrap_servers": cluster.bootstrap_servers})
    await until(lambda: _has_begun(log), "the log has begun", HEALS_S)
    try:
        yield Writer(log)
    finally:
        await log.stop()


async def _has_begun(log: EventLog) -> bool:
    with suppress(NotAcknowledgedError):
        await log.start()
        return True
    return False


async def values_of(cluster: KafkaCluster, topic: str) -> list[bytes]:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        return [(await consumer.getone()).value or b"" for _ in range(sum(ends.values()))]


async def until_refused(writer: Writer) -> int:
    """Appends to the sick partition, which is refused, and meanwhile to the healthy one: how many, none refused."""
    refused = asyncio.create_task(writer.append(SICK))
    beside = 0
    while not refused.done():
        assert await writer.append(HEALTHY)
        beside += 1
    assert not await refused
    return beside


def test_a_partition_below_its_minimum_of_replicas_affects_only_its_own_traces(three_brokers: KafkaCluster) -> None:
    """Finding 4: the first event of a sick trace took every partition of its broker away, until it was well."""

    async def scenario(cluster: KafkaCluster) -> None:
        topic = f"t{uuid4().hex[:8]}"
        async with written_to(cluster, topic) as writer:
            for partition in (SICK, HEALTHY):
                await until(lambda partition=partition: writer.append(partition), "both take records", HEALS_S)
            cluster.brokers[2].kill()
            for _ in range(3):  # before the controller has noticed, and after it
                assert await until_refused(writer) >= BESIDE
                assert writer.log.backlog().late_batches == 1  # of the first; the others waited behind it
            cluster.brokers[2].start()
            await until(lambda: writer.append(SICK), "the sick partition is well again", HEALS_S)
            assert await writer.append(HEALTHY)
        values = await values_of(cluster, topic)
        assert len(set(values)) == len(values), "a record that was not acknowledged in time was stored twice"
        assert set(values) >= set(writer.acknowledged)

    asyncio.run(scenario(three_brokers))

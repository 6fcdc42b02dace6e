"""A topic that is filled once, and read by every subject."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code
from aiokafka.partitioner import DefaultPartitioner

from axonstream.contract.event_record import EventRecord
from axonstream.kafka.topics import event_key
from benchmarks.measuring.installation import PARTITIONS

_AT_ONCE = 20_000
_partition_of_key = DefaultPartitioner()


class Partitioner:
    """The partition of each trace, computed once: murmur2 in Python costs 7 us."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._all = list(range(PARTITIONS))

    def of(self, trace: str) -> int:
        found = self._known.get(trace)
        if found is None:
            found = self._known[trace] = _partition_of_key(event_key(trace), self._all, self._all)
        return found


async def make_topic(kafka: str, name: str, **configs: str) -> None:
    """A new topic of PARTITIONS partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answer: Any = await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=configs)])
        for topic, code, *_ in answer.topic_errors:
            if code:
                raise for_code(code)(topic)
        async with asyncio.timeout(30):
            while len((await admin.describe_topics([name]))[0]["partitions"]) < PARTITIONS:
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def delete_topics(kafka: str, names: Iterable[str]) -> None:
    """The log of a turn that is over only takes room."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        await admin.delete_topics([name for name in names if name in existing])
    finally:
        await admin.close()


async def fill_topic(kafka: str, name: str, records: Iterable[EventRecord]) -> int:
    """Append all, acks=all; returns how many."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=512 << 10)
    await producer.start()
    partitioner = Partitioner()
    by_partition: defaultdict[int, list[EventRecord]] = defaultdict(list)
    count = 0
    try:
        for record in records:
            by_partition[partitioner.of(record.trace_id)].append(record)
            count += 1
            if count % _AT_ONCE == 0:
                await _send(producer, name, by_partition)
        await _send(producer, name, by_partition)
    finally:
        await producer.stop()
    return count


async def _send(producer: AIOKafkaProducer, topic: str, by_partition: defaultdict[int, list[EventRecord]]) -> None:
    sent: list[asyncio.Future[Any]] = []
    for partition, records in by_partition.items():
        batch = producer.create_batch()
        for record in records:
            key = event_key(record.trace_id)
            if batch.append(key=key, value=record.value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=record.value, timestamp=None)
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    by_partition.clear()
    await asyncio.gather(*sent)


def partitions_of(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(PARTITIONS)]


async def ends_of(consumer: AIOKafkaConsumer, topic: str) -> dict[int, int]:
    """Partition -> the offset that its next record will have."""
    return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions_of(topic))).items()}

"""The control topic, for readers who want a part of it: from its start to its end, or on and on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NoTopicError
from axonstream.kafka.leader_watch import leader_connection
from axonstream.kafka.stopped_consumer import stop_consumer
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

_PATIENT_MS = 5_000  # a fetch that finds nothing waits so long at the broker; a record is answered at once

Pair = tuple[bytes | None, bytes | None]


class Reading(NamedTuple):
    """Keys and values, in their order; none where only `at_end` is told: all was read that was there at the start."""

    pairs: list[Pair]
    at_end: bool


async def read_control(settings: Settings, *, follow: bool = False) -> AsyncGenerator[Reading]:
    """Everything from the start of the topic to where it ends now, and then, with `follow`, what is appended to it.

    What is followed ends when another leader answers than before, or another life of it: the log may have lost its end,
    and have grown over what was read. Read it again from the start.

    Raises NoTopicError, KafkaError and OSError. Close it when you stop before its end (`contextlib.aclosing`).
    """
    options = kafka_options(settings)
    partition = TopicPartition(Topics(settings.topic_prefix).control, 0)
    await _look_for(partition.topic, options)
    consumer = AIOKafkaConsumer(
        **options, enable_auto_commit=False, auto_offset_reset="none", fetch_max_wait_ms=_PATIENT_MS
    )
    try:
        await consumer.start()
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        position = (await consumer.beginning_offsets([partition]))[partition]
        consumer.seek(partition, position)
        leader = leader_connection(consumer, partition)
        if position >= end:
            yield Reading([], at_end=True)
        while follow or position < end:
            batches = await consumer.getmany(partition, timeout_ms=_PATIENT_MS)
            pairs = [(record.key, record.value) for record in batches.get(partition, ())]
            position = await consumer.position(partition)
            if pairs or position >= end:
                yield Reading(pairs, at_end=position >= end)
            if follow and leader_connection(consumer, partition) is not leader:
                return
    finally:
        await stop_consumer(consumer)


async def _look_for(topic: str, options: dict[str, object]) -> None:
    """Look without asking for it: a broker may make a topic that is asked for, and would not compact it."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            raise NoTopicError(f"there is no topic {topic}: run `axonstream init`")
    finally:
        await admin.close()

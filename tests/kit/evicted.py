"""Wait until the processor has forgotten a trace."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics, state_key
from axonstream.settings.settings import Settings

EVICTED_WITHIN_S = 60


async def evicted(settings: Settings, trace_id: str) -> None:
    """Returns when the tombstone of the trace of tenant 1 is on the changelog."""
    changelog = Topics(settings.topic_prefix).changelog
    async with AIOKafkaConsumer(**kafka_options(settings)) as consumer:
        consumer.assign([TopicPartition(changelog, partition) for partition in range(settings.topic_partitions)])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(EVICTED_WITHIN_S):
            async for record in consumer:
                if record.value is None and record.key == state_key("1", trace_id):
                    return

"""Where agent-events ends."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings


async def log_ends(settings: Settings) -> dict[int, int]:
    """By partition, the offset that its next record will have."""
    topic = Topics(settings.topic_prefix).events
    async with AIOKafkaConsumer(**kafka_options(settings)) as consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(settings.topic_partitions)])
    return {tp.partition: end for tp, end in ends.items()}


async def records_on_kafka(settings: Settings) -> int:
    """How many records it holds, where nothing was deleted and there are no transaction markers."""
    return sum((await log_ends(settings)).values())

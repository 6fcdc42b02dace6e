"""How many records agent-events holds."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics


async def records_on_kafka(settings: Settings) -> int:
    """The sum of the end offsets of the partitions."""
    topic = Topics(settings.topic_prefix).events
    async with AIOKafkaConsumer(**kafka_options(settings)) as consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(settings.topic_partitions)])
    return sum(ends.values())

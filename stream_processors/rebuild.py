"""Have processors forget their states, and fold again what Kafka has.

The order is a record on each partition of the changelog, so no processor has to be stopped for it to be given. Whoever
recovers the partition next finds it, begins at the start of the log without states, and takes it away.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import REBUILD_KEY, Topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors.topic_check import check_topics


async def order_rebuild(settings: Settings) -> None:
    """Returns when Kafka has the order. Raises TopicsNotReadyError, and KafkaError when it does not answer."""
    partitions = await check_topics(settings)
    changelog = Topics(settings.topic_prefix).changelog
    async with AIOKafkaProducer(**kafka_options(settings), acks="all", enable_idempotence=True) as producer:
        await asyncio.gather(
            *(
                producer.send_and_wait(changelog, b"1", key=REBUILD_KEY, partition=partition)
                for partition in range(partitions)
            )
        )

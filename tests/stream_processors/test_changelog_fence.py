"""Whoever takes over a changelog partition shuts out its earlier owner, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced

from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors.changelog_fence import fence_partitions

pytestmark = pytest.mark.services


@pytest.fixture
def settings(kafka_bootstrap: str) -> Settings:
    fresh = Settings(
        kafka_bootstrap_servers=kafka_bootstrap, topic_prefix=f"fence-{uuid4().hex[:8]}-", topic_partitions=2
    )
    asyncio.run(make_topics(fresh))
    return fresh


async def send(producer: AIOKafkaProducer, partition: TopicPartition, value: bytes) -> None:
    await producer.send_and_wait(partition.topic, value, key=b"key", partition=partition.partition)


@asynccontextmanager
async def an_owner(settings: Settings, *partitions: TopicPartition) -> AsyncGenerator[AIOKafkaProducer]:
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True
    ) as producer:

        async def write(partition: TopicPartition) -> None:
            await send(producer, partition, b"fence")

        await fence_partitions(producer, partitions, write)
        yield producer


async def values(settings: Settings, partition: TopicPartition) -> list[bytes | None]:
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers) as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, 0)
        found: list[bytes | None] = []
        async with asyncio.timeout(60):
            while await consumer.position(partition) < end:
                fetched = await consumer.getmany(timeout_ms=200)
                found += [record.value for records in fetched.values() for record in records]
        return found


def test_an_older_owner_is_refused_and_the_new_one_and_other_partitions_are_not(settings: Settings) -> None:
    changelog = Topics(settings.topic_prefix).changelog
    taken, kept = TopicPartition(changelog, 0), TopicPartition(changelog, 1)
    elsewhere = TopicPartition(Topics(settings.topic_prefix).summaries, 0)

    async def scenario() -> None:
        async with an_owner(settings, taken, kept) as zombie:
            for number in range(3):
                await send(zombie, taken, b"%d" % number)
            async with an_owner(settings, taken) as successor:
                await send(successor, taken, b"newer")
                await send(zombie, kept, b"its own")
                await send(zombie, elsewhere, b"a summary")
                with pytest.raises(ProducerFenced):
                    await send(zombie, taken, b"late")
                await send(successor, taken, b"newest")
        assert await values(settings, taken) == [b"fence", b"0", b"1", b"2", b"fence", b"newer", b"newest"]
        assert await values(settings, kept) == [b"fence", b"its own"]

    asyncio.run(scenario())

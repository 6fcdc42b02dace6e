"""The topics keep the broker's time, and those of an earlier version get the configs of this one."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from axonstream.kafka.errors import TopicMismatchError
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topic_configs import change_configs, read_configs
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

pytestmark = pytest.mark.services
HOUR_MS = 3_600_000
CLOCK = "message.timestamp.type"


@pytest.fixture
def settings(kafka_bootstrap: str) -> Settings:
    return Settings(
        kafka_bootstrap_servers=kafka_bootstrap, topic_prefix=f"admin-{uuid4().hex[:8]}-", topic_partitions=1
    )


def all_topics(settings: Settings) -> list[str]:
    topics = Topics(settings.topic_prefix)
    return [topics.events, topics.summaries, topics.changelog, topics.dead_letters, topics.control]


async def configs_of(settings: Settings, topic: str, *names: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        return {name: config.value for name, config in (await read_configs(admin, topic, names)).items()}
    finally:
        await admin.close()


async def topics_of_an_earlier_version(settings: Settings) -> None:
    topics = Topics(settings.topic_prefix)
    compacted = {topics.changelog, topics.control}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        await admin.create_topics(
            [
                NewTopic(name, 1, 1, topic_configs={"cleanup.policy": "compact"} if name in compacted else {})
                for name in all_topics(settings)
            ]
        )
        await change_configs(admin, topics.changelog, {"delete.retention.ms": "12345"})
        await change_configs(admin, topics.summaries, {"retention.ms": str(90 * 24 * HOUR_MS)})
    finally:
        await admin.close()


async def timestamp_of_one_sent_with(settings: Settings, topic: str, timestamp_ms: int) -> int:
    servers = settings.kafka_bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        sent = await producer.send_and_wait(topic, b"value", key=b"key", partition=0, timestamp_ms=timestamp_ms)
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), sent.offset)
        return (await asyncio.wait_for(consumer.getone(), 10)).timestamp


def test_a_clock_that_is_two_hours_fast_stops_nothing(settings: Settings) -> None:
    """Kafka refuses a sender's time that is an hour ahead; `init` on topics of an earlier version ends that, too."""

    async def scenario() -> dict[str, int]:
        await topics_of_an_earlier_version(settings)
        await make_topics(settings)
        ahead = int(time.time() * 1000) + 2 * HOUR_MS
        return {
            topic: ahead - await timestamp_of_one_sent_with(settings, topic, ahead) for topic in all_topics(settings)
        }

    taken_back = asyncio.run(scenario())
    assert all(HOUR_MS < ms < 3 * HOUR_MS for ms in taken_back.values()), "each record has the broker's time"


def test_what_exists_gets_the_configs_of_this_version_and_keeps_what_somebody_set(settings: Settings) -> None:
    topics = Topics(settings.topic_prefix)

    async def scenario() -> None:
        await topics_of_an_earlier_version(settings)
        await make_topics(settings)
        await make_topics(settings)
        names = (CLOCK, "segment.bytes", "min.cleanable.dirty.ratio", "delete.retention.ms", "cleanup.policy")
        assert await configs_of(settings, topics.changelog, *names) == {
            CLOCK: "LogAppendTime",
            "segment.bytes": str(16 << 20),
            "min.cleanable.dirty.ratio": "0.2",
            "delete.retention.ms": "12345",
            "cleanup.policy": "compact",
        }
        assert await configs_of(settings, topics.control, "flush.messages") == {"flush.messages": "1"}
        assert await configs_of(settings, topics.summaries, CLOCK, "retention.ms") == {
            CLOCK: "LogAppendTime",
            "retention.ms": str(90 * 24 * HOUR_MS),
        }

    asyncio.run(scenario())


def test_new_topics_are_as_those_that_were_brought_up_to_date(settings: Settings) -> None:
    async def scenario() -> None:
        await make_topics(settings)
        for topic in all_topics(settings):
            assert await configs_of(settings, topic, CLOCK) == {CLOCK: "LogAppendTime"}
        changelog = Topics(settings.topic_prefix).changelog
        assert await configs_of(settings, changelog, "segment.bytes") == {"segment.bytes": str(16 << 20)}
        control = Topics(settings.topic_prefix).control
        assert await configs_of(settings, control, "flush.messages") == {"flush.messages": "1"}

    asyncio.run(scenario())


FLUSH = "flush.messages"


async def flush_of(settings: Settings) -> set[tuple[str, bool]]:
    """What all topics but that of control have, and whether it is their own. That one always has 1."""
    control = Topics(settings.topic_prefix).control
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        found = {topic: (await read_configs(admin, topic, [FLUSH]))[FLUSH] for topic in all_topics(settings)}
        of_control = found.pop(control)
        assert not of_control.is_own or of_control.value == "1"
        return {(config.value, config.is_own) for config in found.values()}
    finally:
        await admin.close()


def flushing_each(settings: Settings, messages: int | None) -> Settings:
    return settings.model_copy(update={"kafka_flush_messages": messages})


def test_new_topics_are_flushed_as_often_as_the_settings_say(settings: Settings) -> None:
    asyncio.run(make_topics(flushing_each(settings, 1)))
    assert asyncio.run(flush_of(settings)) == {("1", True)}


def test_topics_that_exist_are_flushed_as_often_as_the_settings_say_and_0_puts_them_back(settings: Settings) -> None:
    async def scenario() -> None:
        await topics_of_an_earlier_version(settings)
        [of_the_broker] = await flush_of(settings)
        assert not of_the_broker[1]
        for messages in (1, 7, 7):
            await make_topics(flushing_each(settings, messages))
            assert await flush_of(settings) == {(str(messages), True)}
        await make_topics(flushing_each(settings, 0))
        await make_topics(flushing_each(settings, 0))
        assert await flush_of(settings) == {of_the_broker}
        kept = await configs_of(settings, Topics(settings.topic_prefix).changelog, "delete.retention.ms")
        assert kept == {"delete.retention.ms": "12345"}, "nothing else is taken off"

    asyncio.run(scenario())


def test_without_the_setting_topics_keep_what_a_person_has_set(settings: Settings) -> None:
    async def scenario() -> None:
        await make_topics(flushing_each(settings, 1))
        await make_topics(flushing_each(settings, None))
        assert await flush_of(settings) == {("1", True)}

    asyncio.run(scenario())


def test_a_control_topic_that_would_lose_keys_is_refused_until_it_is_compacted(settings: Settings) -> None:
    control = Topics(settings.topic_prefix).control

    async def scenario() -> None:
        await topics_of_an_earlier_version(settings)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
        await admin.start()
        try:
            await change_configs(admin, control, {"cleanup.policy": "delete"})
            with pytest.raises(TopicMismatchError, match=f"{control} .*set its cleanup.policy to compact"):
                await make_topics(settings)
            await change_configs(admin, control, {"cleanup.policy": "compact"})
            await make_topics(settings)
        finally:
            await admin.close()

    asyncio.run(scenario())

"""What a sink says that finds the schema of an earlier version is done, and helps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH
from axonstream.sinks.schema import migrate, read_migrations
from kit.command_line import axonstream, environment, running_part
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline

pytestmark = pytest.mark.services

EVENTS = 5


@pytest.fixture
def settings(kafka_bootstrap: str, clickhouse_url: str, tmp_path: Path) -> Settings:
    name = uuid4().hex[:8]
    return Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=1,
        data_dir=tmp_path,
    )


async def init_of_an_earlier_version(pipe: Pipeline) -> None:
    """An epoch, and offsets without a note."""
    topics = Topics(pipe.settings.topic_prefix)
    found = await topic_identities(pipe.settings, [topics.events, topics.summaries])
    await pipe.client.insert(
        "topic_epochs",
        [[1, one.cluster_id, one.topic, one.topic_id] for one in found],
        column_names=["epoch", "cluster_id", "topic", "topic_id"],
    )
    starts = {TopicPartition(topic, 0): OffsetAndMetadata(0, "") for topic in (topics.events, topics.summaries)}
    async with AIOKafkaConsumer(
        **kafka_options(pipe.settings), group_id=topics.sink_group, enable_auto_commit=False
    ) as consumer:
        consumer.assign(list(starts))
        await consumer.commit(starts)


@pytest.mark.parametrize("version", [8, 10, len(read_migrations()) - 1])
def test_a_sink_on_the_schema_of_an_earlier_version_goes_on_after_init(version: int, settings: Settings) -> None:
    """It tried again for ever, and named no command."""
    own = environment(settings)

    async def story() -> None:
        await make_topics(settings)
        await asyncio.to_thread(migrate, settings, read_migrations()[:version])
        async with pipeline(settings) as pipe:
            await init_of_an_earlier_version(pipe)
            for number in range(EVENTS):
                await pipe.send(pipe.topics.events, event_key("tr_1"), event_value("tr_1", number))
            with running_part(own, "sink") as sink:
                assert await asyncio.to_thread(sink.ended) == EXIT_MISMATCH, sink.said
                lacks = ", ".join(migration.name for migration in read_migrations()[version:])
                assert (
                    f"it lacks {lacks}: run `axonstream init` of this version, then start the sink again" in sink.said
                )
            assert await pipe.query("SELECT count() FROM events_log") == [(0,)]
            code, said = await asyncio.to_thread(axonstream, own, "init")
            assert code == 0, said
            with running_part(own, "sink"):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", EVENTS)

    asyncio.run(story())

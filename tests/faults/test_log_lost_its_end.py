"""Kafka loses the end of its log and grows again: no offset is taken for the record that stood there before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from axonstream import AsyncAxonPush
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.verification import Verification, verify
from kit.cut_logs import lose_the_end
from kit.kafka_cluster import KafkaCluster
from kit.log_ends import log_ends
from kit.running_stack import running_stack
from kit.sample_events import event_value
from kit.sink_process import pipeline
from kit.summaries_watch import summaries_watch
from kit.until import until

pytestmark = pytest.mark.services

CUT = 3  # batches of each partition; each is one event
SETTLES_WITHIN_S = 60
PARTITIONS = 2


class Story:
    """What was acknowledged, and what became of it."""

    def __init__(self, cluster: KafkaCluster, settings: Settings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.events: dict[str, int] = {}
        self._number = 0
        self._found: Verification | None = None

    async def publish(self, name: str, traces: int = 8, each: int = 4) -> list[str]:
        """Each event is a batch of its own; returns the traces."""
        names = [f"tr_{name}_{at}" for at in range(traces)]
        topic = Topics(self.settings.topic_prefix).events
        async with AIOKafkaProducer(**kafka_options(self.settings), acks="all", enable_idempotence=True) as producer:
            for _ in range(each):
                for trace in names:
                    self._number += 1
                    await producer.send_and_wait(topic, event_value(trace, self._number), key=event_key(trace))
                    self.events[trace] = self.events.get(trace, 0) + 1
        return names

    async def lose_the_end(self, topic: str | None = None) -> dict[int, int]:
        """Of the events, or of `topic`. Where the logs of the events ended before."""
        before = await log_ends(self.settings)
        cut = topic or Topics(self.settings.topic_prefix).events
        await lose_the_end(self.cluster, cut, range(PARTITIONS), CUT)
        return before

    async def must_be_shown(self, url: str, traces: list[str]) -> None:
        """Every answer is whole or says that it is stale, from the first one on; in the end all are whole."""
        async with AsyncAxonPush("ak_local", "1", base_url=url) as client:

            async def whole(trace: str) -> bool:
                found = await client.traces.get_summary(trace)
                assert found.stale or found.total_events == self.events[trace], f"{trace} is falsely fresh: {found}"
                return not found.stale

            for trace in traces:
                await until(lambda trace=trace: whole(trace), f"{trace} is shown whole", SETTLES_WITHIN_S)

    async def must_be_clean(self) -> None:
        async def settled() -> bool:
            self._found = await verify(self.settings)
            return self._found.clean and not self._found.pending and not self._found.behind

        await until(settled, lambda: f"all is stored and summarised: {self._found}", SETTLES_WITHIN_S)


async def _with_an_unclean_leader(settings: Settings, topic: str) -> None:
    """One partition on the brokers 1 and 2; either takes the lead whatever it has, and acknowledges alone."""
    configs = {
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "true",
        "min.insync.replicas": "1",
    }
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        await admin.create_topics([NewTopic(topic, -1, -1, replica_assignments={0: [1, 2]}, topic_configs=configs)])
    finally:
        await admin.close()


def _settings(cluster: KafkaCluster, clickhouse_url: str, directory: Path) -> Settings:
    name = f"lost{uuid4().hex[:8]}"
    return Settings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        clickhouse_url=clickhouse_url,
        clickhouse_database=name,
        topic_prefix=f"{name}-",
        topic_partitions=PARTITIONS,
        session_timeout_ms=6000,
        insert_timeout_ms=3000,
        data_dir=directory,
    )


def test_new_events_at_offsets_of_lost_ones_are_stored_shown_and_summarised_once(
    one_broker: KafkaCluster, clickhouse_url: str, tmp_path: Path
) -> None:
    settings = _settings(one_broker, clickhouse_url, tmp_path)

    async def story() -> None:
        told = Story(one_broker, settings)
        async with running_stack(settings, tmp_path) as stack:
            old = await told.publish("old")
            await told.must_be_shown(stack.urls[0], old)
            await told.must_be_clean()
        async with pipeline(settings) as pipe:
            before = await told.lose_the_end()
            new = await told.publish("new")
            assert all(end > before[partition] for partition, end in (await log_ends(settings)).items())
            async with running_stack(settings, tmp_path) as stack:
                await told.must_be_shown(stack.urls[0], new)
                await told.must_be_clean()
                await told.must_be_shown(stack.urls[0], old)
                apart = await pipe.query("SELECT count() FROM events_log WHERE _topic_epoch > 1")
                assert apart == [(PARTITIONS * CUT,)], "what only ClickHouse has"
                seen = await pipe.query("SELECT sum(event_count) FROM traces")
                assert seen == [(sum(told.events.values()),)], "every event is in one summary"

    asyncio.run(story())


def test_a_log_that_is_cut_under_a_running_stack_is_noticed_by_every_part(
    one_broker: KafkaCluster, clickhouse_url: str, tmp_path: Path
) -> None:
    settings = _settings(one_broker, clickhouse_url, tmp_path)

    async def story() -> None:
        told = Story(one_broker, settings)
        async with running_stack(settings, tmp_path) as stack:
            old = await told.publish("old")
            await told.must_be_shown(stack.urls[0], old)
            async with pipeline(settings):
                await told.lose_the_end()
                new = await told.publish("new")
                await told.must_be_shown(stack.urls[0], new)
                await told.must_be_clean()
                await told.must_be_shown(stack.urls[0], old)

    asyncio.run(story())


def test_summaries_that_kafka_has_lost_under_a_running_stack_are_sent_and_stored_again(
    one_broker: KafkaCluster, clickhouse_url: str, tmp_path: Path
) -> None:
    """The events are all there; of the summaries that Kafka has lost, the sink has stored the first alone."""
    settings = _settings(one_broker, clickhouse_url, tmp_path)

    async def story() -> None:
        told = Story(one_broker, settings)
        async with running_stack(settings, tmp_path) as stack:
            old = await told.publish("old")
            await told.must_be_shown(stack.urls[0], old)
            async with stack.without("sink-0"):
                async with summaries_watch(settings) as summaries:
                    unstored = await told.publish("unstored", each=2)
                    await summaries.caught_up()
                await told.lose_the_end(Topics(settings.topic_prefix).summaries)
            new = await told.publish("new")
            for traces in (unstored, new, old):
                await told.must_be_shown(stack.urls[0], traces)
            await told.must_be_clean()

    asyncio.run(story())


@pytest.mark.timeout(600)
def test_after_an_unclean_election_nothing_is_falsely_fresh_and_all_that_was_stored_stays(
    three_brokers: KafkaCluster, clickhouse_url: str, tmp_path: Path
) -> None:
    """A replica that has missed acknowledged events becomes the leader, and gives their offsets to others."""
    settings = _settings(three_brokers, clickhouse_url, tmp_path).model_copy(
        update={"topic_partitions": 1, "topic_replication_factor": 3}
    )
    topic = Topics(settings.topic_prefix).events
    has_all, has_missed = three_brokers.brokers[1], three_brokers.brokers[2]

    async def story() -> None:
        await _with_an_unclean_leader(settings, topic)
        told = Story(three_brokers, settings)
        async with running_stack(settings, tmp_path) as stack:
            [url] = stack.urls
            old = await told.publish("old", traces=4)
            await told.must_be_shown(url, old)
            await three_brokers.until_replicated(topic, 0, {1, 2})
            has_missed.kill()
            await three_brokers.until_replicated(topic, 0, {1})
            lost = await told.publish("lost", traces=4, each=2)
            await told.must_be_shown(url, lost)
            before = await log_ends(settings)
            has_all.kill()
            has_missed.start()
            await three_brokers.until_led_by(topic, 0, has_missed)
            new = await told.publish("new", traces=4)
            assert (await log_ends(settings))[0] > before[0], "the log has grown over what was lost"
            await told.must_be_shown(url, new)
            has_all.start()
            await three_brokers.until_replicated(topic, 0, {1, 2})
            for traces in (lost, old, new):
                await told.must_be_shown(url, traces)
            await told.must_be_clean()
        async with pipeline(settings) as pipe:
            apart = await pipe.query("SELECT count() FROM events_log WHERE _topic_epoch > 1")
            assert apart == [(len(lost) * 2,)], "what only ClickHouse has"

    asyncio.run(story())

"""Brokers that die, restart and freeze while events are published: nothing acknowledged is lost, everything heals.

Three brokers, every topic on all of them, two copies before an acknowledgement (replication 3, min.insync.replicas 2):
with any one of them away, publishing and reading go on. One broker: they stop, and go on when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.fault_run import GAIN, HEALS_WITHIN_S, hurt_under_load
from kit.kafka_cluster import KafkaBroker, KafkaCluster, kafka_cluster
from kit.publishing_load import PublishingLoad
from kit.running_stack import running_stack
from kit.soak_report import SoakReport
from kit.until import until

pytestmark = pytest.mark.services

FROZEN_S = 20.0
PUBLISH_TIMEOUT_MS = 5000
READ_WAIT_MS = 2000
LATE_S = 10.0  # beyond the deadline of a publish, on a busy machine


def _settings(cluster: KafkaCluster, clickhouse_url: str, directory: Path) -> Settings:
    name = uuid4().hex[:8]
    return Settings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        topic_replication_factor=len(cluster.brokers),
        topic_partitions=4,
        topic_prefix=f"t{name}-",
        clickhouse_url=clickhouse_url,
        clickhouse_database=f"t{name}",
        publish_timeout_ms=PUBLISH_TIMEOUT_MS,
        read_wait_ms=READ_WAIT_MS,
        data_dir=directory,
        log_level="WARNING",
    )


class Fault:
    """What an injection may touch."""

    def __init__(self, cluster: KafkaCluster, settings: Settings, load: PublishingLoad) -> None:
        self.cluster = cluster
        self.topics = Topics(settings.topic_prefix)
        self.replicated = [self.topics.events, self.topics.summaries, self.topics.changelog, "__consumer_offsets"]
        self.load = load

    async def kill(self, broker: KafkaBroker) -> None:
        """kill -9; publishing goes on without it; it comes back and catches up."""
        broker.kill()
        await self.load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
        broker.start()
        await self.cluster.until_in_sync(self.replicated)


async def kill_a_broker(fault: Fault) -> None:
    await fault.kill(fault.cluster.brokers[2])


async def kill_the_coordinator_of_the_sink(fault: Fault) -> None:
    await fault.kill(await fault.cluster.coordinator_of(fault.topics.sink_group))


async def kill_the_coordinator_of_the_processor(fault: Fault) -> None:
    await fault.kill(await fault.cluster.coordinator_of(fault.topics.processor_app))


async def kill_a_leader(fault: Fault) -> None:
    await fault.kill(await fault.cluster.leader_of(fault.topics.events))


async def rolling_restart(fault: Fault) -> None:
    for broker in fault.cluster.brokers.values():
        broker.stop()
        await fault.load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
        broker.start()
        await fault.cluster.until_in_sync(fault.replicated)


async def freeze_a_leader(fault: Fault) -> None:
    broker = await fault.cluster.leader_of(fault.topics.events)
    frozen_at = monotonic()
    broker.freeze()
    try:
        await fault.load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
        await until(lambda: monotonic() - frozen_at > FROZEN_S, f"{FROZEN_S} s have passed", FROZEN_S)
    finally:
        broker.thaw()
    await fault.cluster.until_in_sync(fault.replicated)


async def kill_the_only_broker(fault: Fault) -> None:
    [broker] = fault.cluster.brokers.values()
    broker.kill()
    refused = fault.load.statuses[503]
    await until(lambda: fault.load.statuses[503] > refused, "a 503", HEALS_WITHIN_S)
    broker.start()
    await fault.cluster.until_ready()


async def _survives(
    inject: Callable[[Fault], Awaitable[None]],
    times: int,
    cluster: KafkaCluster,
    settings: Settings,
    directory: Path,
    report: SoakReport,
) -> None:
    name = inject.__name__.replace("_", " ")
    async with running_stack(settings, directory, gateways=2) as stack:
        load = await hurt_under_load(name, times, lambda load: inject(Fault(cluster, settings, load)), stack, report)
    assert load.slowest_answer_s < PUBLISH_TIMEOUT_MS / 1000 + LATE_S


def test_a_leader_that_is_killed_costs_nothing_acknowledged(
    three_brokers: KafkaCluster, clickhouse_url: str, tmp_path: Path, soak: bool, soak_report: SoakReport
) -> None:
    settings = _settings(three_brokers, clickhouse_url, tmp_path)
    asyncio.run(_survives(kill_a_leader, 3 if soak else 1, three_brokers, settings, tmp_path, soak_report))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("inject", "times"),
    [
        (kill_a_broker, 2),
        (kill_the_coordinator_of_the_sink, 3),
        (kill_the_coordinator_of_the_processor, 2),
        (rolling_restart, 1),
        (freeze_a_leader, 2),
    ],
)
def test_any_broker_of_three_may_be_away(
    inject: Callable[[Fault], Awaitable[None]],
    times: int,
    three_brokers: KafkaCluster,
    clickhouse_url: str,
    tmp_path: Path,
    soak_report: SoakReport,
) -> None:
    settings = _settings(three_brokers, clickhouse_url, tmp_path)
    asyncio.run(_survives(inject, times, three_brokers, settings, tmp_path, soak_report))


@pytest.mark.soak  # its small instance is tests/end_to_end/test_kill_a_part.py
def test_the_only_broker_that_is_killed_costs_nothing_acknowledged(
    clickhouse_url: str, tmp_path: Path, soak_report: SoakReport
) -> None:
    with kafka_cluster(tmp_path / "one", 1) as one:
        settings = _settings(one, clickhouse_url, tmp_path)
        asyncio.run(_survives(kill_the_only_broker, 4, one, settings, tmp_path, soak_report))

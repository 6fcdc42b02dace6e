"""Faults at the processor, with a real sink: nothing is lost or counted twice, and no reader sees a step back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from axonstream.clickhouse.client import connect
from axonstream.deploy.init import initialise
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.kafka.topics import Topics
from axonstream.producers.kafka_publisher import KafkaPublisher
from axonstream.settings.settings import Settings
from kit.event_load import EventLoad, event_load
from kit.evicted import evicted
from kit.oracle import judge
from kit.sink_process import sink
from kit.soak_report import SoakReport
from kit.summaries_watch import SummariesWatch, summaries_watch
from kit.workers import workers

pytestmark = pytest.mark.services


@pytest.fixture
def settings(kafka_bootstrap: str, clickhouse_url: str, tmp_path: Path) -> Iterator[Settings]:
    """Topics and a database of this test alone; the database is dropped at the end."""
    name = f"t{uuid4().hex[:8]}"
    fresh = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"{name}-",
        clickhouse_database=name,
        topic_partitions=4,
        session_timeout_ms=15_000,  # a busy machine must not take a member for dead
        insert_timeout_ms=3000,
        data_dir=tmp_path,
    )
    asyncio.run(initialise(fresh))
    yield fresh

    async def drop() -> None:
        client = await connect(fresh)
        await client.command(f"DROP DATABASE {fresh.clickhouse_database}")
        await client.close()

    asyncio.run(drop())


async def judged(
    load: EventLoad, settings: Settings, watch: SummariesWatch, report: SoakReport, *fault: object
) -> None:
    """Judge, once everything is folded, and write the row: name, injected, since when, note."""
    load.stopping = True
    await watch.caught_up()
    judgement = await judge(settings, acknowledged=load.acknowledged, unknown=load.unknown)
    name, injected, started, note = fault
    assert isinstance(injected, int)
    assert isinstance(started, float)
    report.add(judgement.row(str(name), injected, monotonic() - started, str(note)))
    judgement.must_be_clean()
    assert not watch.went_back, watch.went_back[:3]


def test_kills_and_zombies_lose_and_double_nothing(settings: Settings, soak: bool, soak_report: SoakReport) -> None:
    kills, zombies = (100, 10) if soak else (2, 1)

    async def story() -> None:
        chance, started = random.Random(11), monotonic()
        async with summaries_watch(settings) as watch, workers(settings) as group, event_load(settings, 11) as load:
            await group.start(0, 1)
            for _ in range(kills // 2):
                await load.more(chance.randrange(100, 1500))
                group.kill(0, 1)
                await group.start(0, 1)
            for _ in range(zombies):
                await load.more(chance.randrange(100, 500))
                await group.freeze_beyond_the_session(1, watch, load)
                if soak:  # it takes one more session
                    group.kill(0)
                    await group.work_alone(1, watch)
                    await group.start(0)
            note = f"{kills} kill -9, {zombies} SIGSTOP beyond the session"
            await judged(load, settings, watch, soak_report, "processor", kills + zombies, started, note)

    with sink(settings):
        asyncio.run(story())


def test_one_worker_three_and_one_again_under_load(settings: Settings, soak: bool, soak_report: SoakReport) -> None:
    """Two join and two leave: their names are new each time, so that each is a rebalance and not a static rejoin."""
    rounds = 8 if soak else 1

    async def story() -> None:
        started = monotonic()
        async with summaries_watch(settings) as watch, workers(settings) as group, event_load(settings, 12) as load:
            await group.start(0)
            for number in range(1, 2 * rounds, 2):
                await load.more(500)
                await group.start(number, number + 1)
                await load.more(500)
                await asyncio.gather(group.stop(number), group.stop(number + 1))
                await watch.caught_up()
            note = "1 -> 3 -> 1 workers under load"
            await judged(load, settings, watch, soak_report, "joins and leaves", 4 * rounds, started, note)

    with sink(settings):
        asyncio.run(story())


def test_late_events_of_evicted_traces_and_kills_in_between(
    settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    """Every segment equals its events, and what a reader gets of a trace in several segments equals all of them."""
    kills = 20 if soak else 2
    settings = settings.model_copy(update={"trace_idle_s": 0.5, "max_live_traces": 100})

    async def story() -> None:
        chance, started = random.Random(13), monotonic()
        async with summaries_watch(settings) as watch, workers(settings) as group, event_load(settings, 13) as load:
            await group.start(0)
            for _ in range(kills):
                await load.more(chance.randrange(1500, 3000))
                group.kill(0)
                await group.start(0)
            await load.more(1500)
            note = f"{kills} kills"
            await judged(load, settings, watch, soak_report, "eviction under load", kills, started, note)
            traces = [key.split(b"\x00")[1].decode() for key, _ in watch.latest]
            several = {trace for trace in traces if traces.count(trace) > 1}
            assert len(several) > 20, "there must be traces of several segments"
            await readers_get_all_events(settings, {trace: load.events_of[trace] for trace in several})

    with sink(settings):
        asyncio.run(story())


async def readers_get_all_events(settings: Settings, expected: dict[str, int]) -> None:
    """By the gateway's queries: a trace alone, and the list."""
    queries = TraceQueries(ClickHouseReads(settings))
    try:
        for trace_id, events in list(expected.items())[:50]:
            figures = await queries.trace("1", trace_id)
            assert figures is not None
            assert figures.event_count == events
        page = {figures.trace_id: figures.event_count for figures in (await queries.page("1", 1000)).traces}
        assert {trace: page[trace] for trace in expected if trace in page} == {
            trace: events for trace, events in expected.items() if trace in page
        }
    finally:
        await queries.reads.close()


def test_a_dedup_key_ten_times_before_and_after_restart_and_eviction_counts_once(
    settings: Settings, soak_report: SoakReport
) -> None:
    settings = settings.model_copy(update={"trace_idle_s": 0.5})
    topics = Topics(settings.topic_prefix)

    async def story() -> None:
        started, queries = monotonic(), TraceQueries(ClickHouseReads(settings))
        async with (
            summaries_watch(settings) as watch,
            workers(settings) as group,
            KafkaPublisher(
                bootstrap_servers=settings.kafka_bootstrap_servers, tenant_id="1", topic=topics.events
            ) as publisher,
        ):

            async def publish(times: int) -> None:
                for _ in range(times):
                    await publisher.publish("pay", {}, channel_id=1, trace_id="tr_pay", dedup_key="pay-1")
                await watch.caught_up()

            await group.start(0)
            await publish(3)
            group.kill(0)
            await group.start(0)
            await publish(3)
            await evicted(settings, "tr_pay")
            await publish(3)
            group.kill(0)
            await group.start(0)
            await publish(1)
            judgement = await judge(settings, acknowledged=["pay-1"])
            soak_report.add(judgement.row("a dedup key ten times", 10, monotonic() - started, "2 kills, 1 eviction"))
            judgement.must_be_clean()
            figures, page = await queries.trace("1", "tr_pay"), (await queries.page("1", 10)).traces
            events = await queries.first_events("1", "tr_pay", 100)
            await queries.reads.close()
            assert figures is not None
            assert len(watch.latest) > 1, "there must be two segments"
            assert (figures.event_count, [row.event_count for row in page], len(events)) == (1, [1], 1)

    with sink(settings):
        asyncio.run(story())


@pytest.mark.soak
def test_a_restart_with_500_000_live_traces_continues_each(settings: Settings, soak_report: SoakReport) -> None:
    traces, at_once, sampled = 500_000, 5_000, 1_000

    async def story() -> None:
        started = monotonic()
        acknowledged: list[str] = []
        async with (
            summaries_watch(settings) as watch,
            workers(settings) as group,
            KafkaPublisher(
                bootstrap_servers=settings.kafka_bootstrap_servers,
                tenant_id="1",
                topic=Topics(settings.topic_prefix).events,
            ) as publisher,
        ):

            async def publish(numbers: range, name: str) -> None:
                keys = [f"{name}{number}" for number in numbers]
                await publisher.publish_many(
                    {"identifier": "step", "payload": {}, "channel_id": 1, "trace_id": f"tr_{number}", "dedup_key": key}
                    for number, key in zip(numbers, keys, strict=True)
                )
                acknowledged.extend(keys)

            await group.start(0)
            for first in range(0, traces, at_once):
                await publish(range(first, first + at_once), "a")
            await watch.caught_up(300)
            segments = set(watch.latest)
            group.kill(0)
            restarted = monotonic()
            await group.start(0)
            recovery_s = monotonic() - restarted
            await publish(range(0, traces, traces // sampled), "b")
            await watch.caught_up()
            assert watch.latest.keys() == segments, "a trace began anew: its state was lost"
            assert sum(summary["event_count"] == 2 for summary in watch.latest.values()) == sampled
            judgement = await judge(settings, acknowledged=acknowledged, settles_within_s=300)
            note = f"ready {recovery_s:.1f} s after a kill -9 with {traces:,} live traces"
            soak_report.add(judgement.row("restart with live traces", 1, monotonic() - started, note))
            judgement.must_be_clean()

    with sink(settings):
        asyncio.run(story())

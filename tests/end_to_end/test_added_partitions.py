"""Partitions are added to an installation that has events: nothing is lost, no trace is called unknown, counts stay."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from click.testing import CliRunner

from axonstream.cli.main import main
from axonstream.contract.event_record import EventRecord
from axonstream.deploy.errors import ServerNotReadyError
from axonstream.deploy.init import initialise
from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NotAcknowledgedError, TopicMismatchError
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import Topics
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from kit.log_ends import log_ends
from kit.oracle import SETTLES_WITHIN_S, settled
from kit.running_stack import HEADERS, RunningStack, running_stack
from kit.until import until

pytestmark = pytest.mark.services

BEFORE, AFTER = 2, 3
# Two traces that keep their partition, and two that move to the new one.
STAY = [n for n in range(60) if partition_of(f"tr_{n}".encode(), BEFORE) == partition_of(f"tr_{n}".encode(), AFTER)][:2]
MOVE = [n for n in range(60) if partition_of(f"tr_{n}".encode(), AFTER) == BEFORE][:2]
TRACES = [f"tr_{number}" for number in (*STAY, *MOVE)]
EVENTS = 3
FRESH_WITHIN_S = 120.0


@pytest.fixture
def settings(kafka_bootstrap: str, clickhouse_url: str, tmp_path: Path) -> Settings:
    name = uuid4().hex[:8]
    return Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=BEFORE,
        publish_timeout_ms=5000,
        data_dir=tmp_path,
    )


async def publish(client: httpx.AsyncClient, numbers: count[int]) -> None:
    for trace in TRACES:
        for _ in range(EVENTS):
            event = {"identifier": f"step {next(numbers)}", "payload": {}, "channel_id": 1, "traceId": trace}
            assert (await client.post("/event", json=event)).is_success


async def read(client: httpx.AsyncClient, trace: str) -> tuple[int, int]:
    """The events that its summary counts, and those that are listed, by the first answer that is not stale."""
    found = (0, 0)

    async def is_fresh() -> bool:
        nonlocal found
        summary = await client.get(f"/traces/{trace}/summary")
        events = await client.get(f"/traces/{trace}/events")
        if (
            "X-Axonstream-Stale" in summary.headers
            or "X-Axonstream-Stale" in events.headers
            or summary.status_code == 503
        ):
            return False
        assert summary.is_success, summary.text
        found = summary.json()["totalEvents"], len(events.json())
        return True

    await until(is_fresh, f"a fresh read of {trace}", FRESH_WITHIN_S)
    return found


def client_of(stack: RunningStack) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stack.urls[0], headers=HEADERS, timeout=60)


def test_a_trace_that_moves_keeps_its_events_and_its_counts(settings: Settings, tmp_path: Path) -> None:
    grown = settings.model_copy(update={"topic_partitions": AFTER})
    numbers = count()

    async def scenario() -> None:
        async with running_stack(settings, tmp_path / "before") as stack, client_of(stack) as client:
            await publish(client, numbers)
            assert [await read(client, trace) for trace in TRACES] == [(EVENTS, EVENTS)] * len(TRACES)
        with pytest.raises(TopicMismatchError, match="init --add-partitions"):
            await initialise(grown)
        await initialise(grown, add_partitions=True)
        async with running_stack(grown, tmp_path / "after") as stack, client_of(stack) as client:
            assert [await read(client, trace) for trace in TRACES] == [(EVENTS, EVENTS)] * len(TRACES)
            await publish(client, numbers)
            both = 2 * EVENTS
            assert [await read(client, trace) for trace in TRACES] == [(both, both)] * len(TRACES)
        assert (await log_ends(grown))[BEFORE] == EVENTS * len(MOVE)
        assert not (await settled(grown, SETTLES_WITHIN_S)).findings

    asyncio.run(scenario())


def test_while_the_count_is_another_one_nothing_is_published_or_read_by_the_old_one(
    settings: Settings, tmp_path: Path
) -> None:
    """Finding 8: traces moved at once, and reads waited for partitions in which they no longer were: 404."""
    topic = Topics(settings.topic_prefix).events

    async def add_by_hand() -> None:
        admin = AIOKafkaAdminClient(**kafka_options(settings))
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(AFTER)})
        finally:
            await admin.close()

    async def scenario() -> None:
        async with running_stack(settings, tmp_path) as stack, client_of(stack) as client:
            await publish(client, count())
            await add_by_hand()

            async def refused() -> bool:
                answer = await client.get(f"/traces/{TRACES[-1]}/summary")
                assert answer.status_code in (200, 503)
                return answer.status_code == 503 and "AXONSTREAM_TOPIC_PARTITIONS" in answer.text

            await until(refused, "reads say what to do", 60)
        log = EventLog.from_settings(settings)
        await log.start()
        try:
            with pytest.raises(NotAcknowledgedError, match="AXONSTREAM_TOPIC_PARTITIONS"):
                await log.append([EventRecord(1, TRACES[-1], 0, 0, b"{}")])
        finally:
            await log.stop()
        await initialise(settings.model_copy(update={"topic_partitions": AFTER}))  # the other topics follow

    asyncio.run(scenario())


def test_partitions_are_not_added_while_events_wait(settings: Settings) -> None:
    grown = settings.model_copy(update={"topic_partitions": AFTER})

    async def scenario() -> None:
        await initialise(settings)
        log = EventLog.from_settings(settings)
        await log.start()
        await log.append([EventRecord(1, TRACES[0], 0, 0, b"{}")])
        await log.stop()
        with pytest.raises(ServerNotReadyError, match="1 events are not stored"):
            await initialise(grown, add_partitions=True)

    asyncio.run(scenario())


def test_the_command_adds_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(initialise(settings))
    for name in ("kafka_bootstrap_servers", "clickhouse_url", "topic_prefix", "clickhouse_database"):
        monkeypatch.setenv(f"AXONSTREAM_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("AXONSTREAM_TOPIC_PARTITIONS", str(AFTER))
    runner: Any = CliRunner()
    for arguments, exit_code in ((["init"], 1), (["init", "--add-partitions"], 0), (["init"], 0)):
        outcome = runner.invoke(main, arguments)
        assert outcome.exit_code == exit_code, outcome.output

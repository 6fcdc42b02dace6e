"""Rows that ClickHouse has lost and Kafka still has are stored again, once, by a sink that begins and by a repair."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from axonstream.contract.event_record import encode_event
from axonstream.event_contract import EventInput
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.offsets.comparison import Comparison
from axonstream.sinks.offsets.gaps import Gap
from axonstream.sinks.verification import verify
from kit.log_ends import log_ends
from kit.oracle import judge
from kit.processor_process import processor
from kit.sink_load import ended
from kit.sink_process import LONGEST_S, Pipeline, pipeline, sink, start_sink
from kit.until import until

pytestmark = pytest.mark.services

BEFORE_MENDING = "before storing lost events again"
EVENTS = 40
BAD = 4
IN_THE_MIDDLE = "_offset BETWEEN 5 AND 8 OR _offset = 12"
# What is lost, and how: from one row to everything.
LOSSES: dict[str, list[str]] = {
    "rows in the middle": [f"ALTER TABLE events_log DELETE WHERE {IN_THE_MIDDLE}"],
    "a day, in a restored backup": [
        "ALTER TABLE events_log DELETE WHERE _offset >= 7",
        "ALTER TABLE trace_summaries DELETE WHERE last_offset >= 7",
        "ALTER TABLE dead_letters DELETE WHERE offset >= 7",
    ],
    "everything": [f"TRUNCATE TABLE {table}" for table in ("events_log", "trace_summaries", "dead_letters")],
    "dead letters": ["TRUNCATE TABLE dead_letters"],
    "summaries": ["TRUNCATE TABLE trace_summaries"],
    "one summary": ["ALTER TABLE trace_summaries DELETE WHERE trace_id = 'tr_1'"],
}
HIDDEN = [  # the count is right: what is lost is there once more at another place
    "ALTER TABLE events_log DELETE WHERE _offset = 5",
    "INSERT INTO events_log SELECT * FROM events_log WHERE _offset = 6",
]


async def publish(pipe: Pipeline, numbers: range) -> list[str]:
    """Events of four traces with a dedup key each, between them records that are no events."""
    for number in numbers:
        trace = f"tr_{number % 4}"
        event = EventInput(identifier="step", payload={"n": number}, channel_id=1, dedup_key=f"k{number}")
        value = encode_event(event, tenant_id="1", trace_id=trace, fresh_id=0, now_ms=1_900_000_000_000 + number).value
        await pipe.send(pipe.topics.events, event_key(trace), value)
        if number % (EVENTS // BAD) == 0:
            await pipe.send(pipe.topics.events, b"tr_1", b"{not json", number % 2)
    return [f"k{number}" for number in numbers]


async def publish_in_transactions(pipe: Pipeline) -> None:
    """One event each, so that every second offset is a marker."""
    async with AIOKafkaProducer(**kafka_options(pipe.settings), transactional_id=pipe.topics.events) as producer:
        for number in range(5):
            event = EventInput(identifier="step", payload={}, channel_id=1, dedup_key=f"x{number}")
            value = encode_event(event, tenant_id="1", trace_id="tr_x", fresh_id=0, now_ms=1_900_000_000_000).value
            async with producer.transaction():
                await producer.send_and_wait(pipe.topics.events, value, key=b"tr_x", partition=0)


async def lose(pipe: Pipeline, statements: list[str]) -> None:
    for statement in statements:
        await pipe.client.command(statement, settings={"mutations_sync": 1})


async def stopped(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == 0


async def whole(settings: Settings, keys: list[str]) -> None:
    (await judge(settings, acknowledged=keys, deep=True)).must_be_clean()


async def stored(pipe: Pipeline) -> list[str]:
    """Published and stored by a sink that has ended; the dedup keys."""
    with sink(pipe.settings) as process:
        keys = await publish(pipe, range(EVENTS))
        await whole(pipe.settings, keys)
        await stopped(process)
    return keys


async def until_whole(settings: Settings, what: str) -> None:
    async def is_whole() -> bool:
        return (await verify(settings)).clean

    await until(is_whole, f"nothing is missing any more: {what}", LONGEST_S)


async def gaps(pipe: Pipeline) -> Mapping[int, list[Gap]]:
    """Of what is committed, as the sink asks."""
    committed = await pipe.committed()
    bounds = {p: (0, committed[pipe.topics.events, p][0]) for p in range(pipe.settings.topic_partitions)}
    return await Comparison(pipe.client, pipe.topics.events, 1).gaps(bounds)


@pytest.mark.timeout(900)
def test_a_sink_that_begins_stores_again_what_clickhouse_has_lost(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with processor(server_settings):
                keys = await stored(pipe)
                for loss, statements in LOSSES.items():
                    await lose(pipe, statements)
                    assert (await judge(server_settings, acknowledged=keys)).findings, f"{loss}: nothing is lost"
                    with sink(server_settings) as process:
                        await until_whole(server_settings, loss)
                        keys += await publish(pipe, range(len(keys) + 1, len(keys) + 4))
                        judgement = await judge(server_settings, acknowledged=keys, deep=True)
                        assert not judgement.findings, f"{loss}: {judgement.findings[:20]}"
                        await stopped(process)
                await lose(pipe, HIDDEN)
                with sink(server_settings):
                    await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", len(keys))

    asyncio.run(story())


def test_offsets_without_a_record_are_looked_at_once(server_settings: Settings) -> None:
    """Transaction markers leave gaps that are no loss: the second sink does not read them again."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings) as process:
                await publish_in_transactions(pipe)
                await pipe.until_committed(0, 10)
                await stopped(process)
            assert [len(found) for found in (await gaps(pipe)).values()] == [5]
            with sink(server_settings) as process:
                await pipe.until("SELECT sum(last_offset - first_offset + 1) FROM absent_offsets FINAL", 5)
                await stopped(process)
            assert not await gaps(pipe)
            await lose(pipe, ["ALTER TABLE events_log DELETE WHERE _offset = 4"])
            assert await gaps(pipe) == {0: [Gap(4, 4)]}
            with sink(server_settings):
                await pipe.until("SELECT arraySort(groupArray(_offset)) FROM events_log", [0, 2, 4, 6, 8])

    asyncio.run(story())


@pytest.mark.parametrize("point", ["after taking the commit back", "after insert events_log"])
def test_a_sink_killed_while_it_mends_leaves_no_read_fresh_and_the_next_one_goes_on(
    server_settings: Settings, point: str, tmp_path: Path
) -> None:
    settings = server_settings.model_copy(
        update={"sink_max_rows": 3, "session_timeout_ms": 6000, "insert_timeout_ms": 2000}
    )

    async def story() -> None:
        async with pipeline(settings) as pipe:
            with processor(settings):
                keys = await stored(pipe)
                await lose(pipe, LOSSES["rows in the middle"])
                crash = ("-m", "kit.sink_crash_points", point, "1", str(tmp_path / "passings"))
                with start_sink(settings, *crash) as process:
                    assert await ended(process) == -signal.SIGKILL
                bounds = {partition: (0, end) for partition, end in (await log_ends(settings)).items()}
                missing = await Comparison(pipe.client, pipe.topics.events, 1).gaps(bounds)
                committed = await pipe.committed()
                assert any(committed[pipe.topics.events, p][0] <= found[0].first for p, found in missing.items())
                with sink(settings):
                    await until_whole(settings, "by the next sink")
                    await whole(settings, keys)

    asyncio.run(story())


def repair(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "AXONSTREAM_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }
    return subprocess.run(
        [sys.executable, "-m", "axonstream.cli.main", "repair", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("sink_runs", [True, False])
def test_a_repair_stores_again_what_is_lost_beside_a_running_sink_and_without_one(
    server_settings: Settings, sink_runs: bool
) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with processor(server_settings), sink(server_settings) as process:
                keys = await publish(pipe, range(EVENTS))
                await whole(server_settings, keys)
                if not sink_runs:
                    await stopped(process)
                await lose(pipe, [*LOSSES["rows in the middle"], *LOSSES["summaries"]])
                assert (await judge(server_settings, acknowledged=keys)).lost > 0
                nothing = await asyncio.to_thread(repair, server_settings, "--from", "0", "--to", "2")
                assert (nothing.returncode, nothing.stdout[:2]) == (0, "0 "), nothing.stderr
                done = await asyncio.to_thread(repair, server_settings)
                assert done.returncode == 0, done.stderr
                await whole(server_settings, keys)
                again = await asyncio.to_thread(repair, server_settings)
                assert again.stdout.startswith("0 offsets were in no table"), again.stdout

    asyncio.run(story())


def test_a_repair_says_which_server_does_not_answer(server_settings: Settings) -> None:
    gone = server_settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:1"})
    answer = repair(gone)
    assert answer.returncode == 2
    assert "Error: not repaired: ClickHouse cannot answer" in answer.stderr
    assert "Traceback" not in answer.stderr
    gone = server_settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    assert "Error: not repaired: no Kafka answers" in repair(gone).stderr

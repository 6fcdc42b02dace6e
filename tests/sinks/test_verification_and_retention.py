"""What the oracle says of data that an operator or retention has changed although nothing is wrong with it."""

from __future__ import annotations

import asyncio
from time import time
from typing import Any

import pytest

from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.replay import dedup_key_of
from axonstream.sinks.dead_letters.store import DeadLetterStore, Decision, Place
from axonstream.sinks.verification import Kind, Verification, summary_check, verify
from axonstream.sinks.verification.log_state import events_log
from axonstream.sinks.verification.summary_check import SummaryCheck
from kit.oracle import SETTLES_WITHIN_S, settled
from kit.processor_process import processor
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline, sink

pytestmark = pytest.mark.services

LETTER = "INSERT INTO dead_letters (topic, partition, offset, _topic_epoch, trace_id, failed_at)"


async def stored(pipe: Pipeline, count: int) -> None:
    with processor(pipe.settings), sink(pipe.settings):
        for number in range(count):
            await pipe.send(pipe.topics.events, b"tr_1", event_value("tr_1", number), 0)
        await settled(pipe.settings, SETTLES_WITHIN_S)


@pytest.mark.parametrize(
    ("decision", "replayed", "expected"),
    [
        (None, False, {Kind.BOTH: 1}),
        ("discarded", False, {}),
        ("replayed", False, {}),
        ("replayed", True, {Kind.TWICE: 1}),
    ],
)
def test_a_record_that_is_stored_after_all_is_judged_by_what_became_of_its_letter(
    server_settings: Settings, decision: Decision | None, replayed: bool, expected: dict[Kind, int]
) -> None:
    """As after a rewind of the sink to what an older version of it had refused."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await stored(pipe, 3)
            place = Place(pipe.topics.events, 1, 0, 1)
            await pipe.client.command(f"{LETTER} VALUES ('{place.topic}', 0, 1, 1, 'tr_1', now())")
            if decision:
                await DeadLetterStore(pipe.client).decide([place], decision, int(time() * 1000))
            if replayed:
                key = b'"dedup_key":"%b",' % dedup_key_of(place).encode()
                value = event_value("tr_1", 9).replace(b'"source":', key + b'"source":')
                with processor(server_settings), sink(server_settings):
                    await pipe.send(pipe.topics.events, event_key("tr_1"), value, 0)
                    await settled(server_settings, SETTLES_WITHIN_S)
            result = await verify(server_settings)
            assert dict(result.counts) == expected, result.findings

    asyncio.run(story())


def test_what_is_behind_the_records_that_retention_deletes_meanwhile_is_still_looked_at(
    server_settings: Settings,
) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            for number in range(10):
                await pipe.send(pipe.topics.events, b"tr_1", event_value("tr_1", number), 0)
            async with events_log(server_settings) as (log, states):
                assert states[0].start == 0
                await pipe.delete_records(0, 4)
                found = [record.offset async for record in log.records_between(0, 0, 7)]
                assert found == [4, 5, 6, 7]
                assert await log.oldest([0, 1]) == {0: 4, 1: 0}

    asyncio.run(story())


def test_a_summary_whose_events_expire_before_their_records_is_not_called_wrong(server_settings: Settings) -> None:
    """Kafka may keep records longer than ClickHouse keeps events; their age is that of the records."""
    long_log = server_settings.model_copy(update={"topic_retention_hours": 24 * 365})

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await stored(pipe, 3)
            await pipe.client.command("TRUNCATE TABLE events_log")
            assert (await verify(long_log)).counts == {Kind.LOST: 3, Kind.SUMMARY: 1}
            async with events_log(long_log) as (log, states):
                result = Verification()
                check = SummaryCheck(long_log, pipe.client, 1, result)
                check._kept_since_ms = lambda: int(time() * 1000) + 60_000
                await check.check(log, states)
            assert result.clean, result.findings
            assert result.expired == 1

    asyncio.run(story())


@pytest.mark.parametrize("tenants", [1, 7000])
def test_the_summaries_of_many_traces_are_read_about_twice_whatever_the_number_of_tenants(
    server_settings: Settings, tenants: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, at_a_time = 200_000, 20_000
    monkeypatch.setattr(summary_check, "ROWS_AT_A_TIME", at_a_time)
    read: list[int] = []

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.client.command(
                "INSERT INTO events_log (tenant_id, trace_id, event_id, received_at, _topic_epoch, _partition, _offset)"
                f"SELECT toString(number % {tenants}), concat('tr_', toString(intDiv(number, 20))), number, "
                f"now64(3), 1, 0, number FROM numbers({events})"
            )
            await pipe.client.command("OPTIMIZE TABLE events_log FINAL")
            query = pipe.client.query

            async def counted(*arguments: Any, **options: Any) -> Any:
                answer = await query(*arguments, **options)
                read.append(int(answer.summary["read_rows"]))
                return answer

            monkeypatch.setattr(pipe.client, "query", counted)
            async with events_log(server_settings) as (log, states):
                result = Verification()
                await SummaryCheck(server_settings, pipe.client, 1, result).check(log, states)
            assert not result.counts, "nothing is visible yet"

    asyncio.run(story())
    queries_of_a_range, granule = 4, 8192
    ranges = events // at_a_time + 1
    assert len(read) in (1 + queries_of_a_range * ranges, 1 + queries_of_a_range * (ranges - 1))
    assert sum(read) < 4 * events + ranges * queries_of_a_range * 4 * granule

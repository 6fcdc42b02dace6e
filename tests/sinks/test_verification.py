"""The oracle finds what is wrong in data that a real processor and a real sink stored, and that was tampered with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from axonstream.contract.event_record import encode_event
from axonstream.event_contract import EventInput
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_configs import change_configs, read_configs
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.verification import Kind, Verification, contents, stored_offsets, summary_check, verify
from axonstream.sinks.verification.log_state import events_log
from axonstream.sinks.verification.stored_offsets import StoredOffsets
from kit.oracle import SETTLES_WITHIN_S, judge, settled
from kit.processor_process import processor
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline, sink
from kit.until import until

pytestmark = pytest.mark.services

EVENTS = 40
A_LONG_AGO_MS = 1_000_000_000_000
_CLOCK = "message.timestamp.type"
KEY = "dedup_key = 'k7'"
OF_TRACE = "WHERE trace_id = 'tr_1'"
LETTER = "INSERT INTO dead_letters (topic, partition, offset, _topic_epoch, failed_at)"
ROW = "INSERT INTO events_log (tenant_id, trace_id, event_id, received_at, _topic_epoch, _partition, _offset)"
TAMPERED: dict[str, tuple[str, dict[Kind, int]]] = {
    "a row is gone": (f"ALTER TABLE events_log DELETE WHERE {KEY}", {Kind.LOST: 2, Kind.SUMMARY: 1}),
    "a row is there again": (f"INSERT INTO events_log SELECT * FROM events_log WHERE {KEY}", {Kind.TWICE: 2}),
    "a row is a dead letter, too": (
        f"{LETTER} SELECT '{{topic}}', _partition, _offset, _topic_epoch, now() FROM events_log WHERE {KEY}",
        {Kind.BOTH: 2},
    ),
    "a row has another payload": (f"ALTER TABLE events_log UPDATE payload = 'x' WHERE {KEY}", {Kind.DIFFERENT: 2}),
    "a row is of another event": (f"ALTER TABLE events_log UPDATE event_id = 7 WHERE {KEY}", {Kind.DIFFERENT: 2}),
    "a row has another parent": (
        f"ALTER TABLE events_log UPDATE parent_span_id = 'x' WHERE {KEY}",
        {Kind.DIFFERENT: 2},
    ),
    "a row has a cost": (f"ALTER TABLE events_log UPDATE cost_usd = 1 WHERE {KEY}", {Kind.DIFFERENT: 2}),
    "a count is wrong": (f"ALTER TABLE trace_summaries UPDATE event_count = 11 {OF_TRACE}", {Kind.SUMMARY: 1}),
    "a time is wrong": (f"ALTER TABLE trace_summaries UPDATE last_at = last_at + 1 {OF_TRACE}", {Kind.SUMMARY: 1}),
    "agents are missing": (f"ALTER TABLE trace_summaries UPDATE agents = [] {OF_TRACE}", {Kind.SUMMARY: 1}),
    "the error's step is wrong": (
        f"ALTER TABLE trace_summaries UPDATE first_error_step = 9 {OF_TRACE}",
        {Kind.SUMMARY: 1},
    ),
    "a summary is gone": (f"ALTER TABLE trace_summaries DELETE {OF_TRACE}", {Kind.UNCOVERED: 20}),
    "every summary is gone": ("TRUNCATE TABLE trace_summaries", {Kind.UNCOVERED: 2 * EVENTS}),
    "a row beyond the log": (f"{ROW} VALUES ('1', 'tr_1', 1, now(), 1, 0, 1000000)", {Kind.AHEAD: 1}),
}


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_offsets, "OFFSETS_AT_A_TIME", 7)
    monkeypatch.setattr(contents, "OFFSETS_AT_A_TIME", 7)
    monkeypatch.setattr(summary_check, "ROWS_AT_A_TIME", 7)


async def publish(pipe: Pipeline, numbers: Sequence[int]) -> list[str]:
    """Events of four traces, every tenth an error, each published twice with its dedup key."""
    for number in numbers:
        trace = f"tr_{number % 4}"
        event = EventInput(
            identifier="step",
            payload={},
            channel_id=1,
            agent_id=f"agent-{number % 3}",
            event_type="agent.error" if number % 10 == 1 else "agent.message",
            dedup_key=f"k{number}",
        )
        value = encode_event(event, tenant_id="1", trace_id=trace, fresh_id=0, now_ms=1_900_000_000_000 + number).value
        for _ in range(2):
            await pipe.send(pipe.topics.events, event_key(trace), value)
    return [f"k{number}" for number in numbers]


async def stored(pipe: Pipeline) -> list[str]:
    """All of it through a processor and a sink."""
    with processor(pipe.settings), sink(pipe.settings):
        keys = await publish(pipe, range(EVENTS))
        await settled(pipe.settings, SETTLES_WITHIN_S)
    return keys


def test_what_the_pipeline_stored_is_clean_and_each_way_of_tampering_is_found(server_settings: Settings) -> None:
    async def found(pipe: Pipeline, statement: str) -> Verification:
        """The verification with `statement` applied to a copy of what is stored, which is then put back."""
        tables = ("events_log", "trace_summaries", "dead_letters")
        for table in tables:
            await pipe.client.command(f"CREATE TABLE {table}_kept AS {table}")
            await pipe.client.command(f"INSERT INTO {table}_kept SELECT * FROM {table}")
        await pipe.client.command(statement.format(topic=pipe.topics.events), settings={"mutations_sync": 1})
        result = await verify(server_settings)
        for table in tables:
            await pipe.client.command(f"EXCHANGE TABLES {table} AND {table}_kept")
            await pipe.client.command(f"DROP TABLE {table}_kept SYNC")
        return result

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            keys = await stored(pipe)
            judgement = await judge(server_settings, acknowledged=keys)
            judgement.must_be_clean()
            assert judgement.stored == 2 * EVENTS
            clean = await verify(server_settings)
            assert clean.clean
            assert (clean.events, clean.summaries, clean.inexact, clean.expired, clean.pending) == (80, 4, 0, 0, 0)
            for name, (statement, expected) in TAMPERED.items():
                result = await found(pipe, statement)
                assert dict(result.counts) == expected, (name, result.findings)
            assert (await verify(server_settings)).clean

    asyncio.run(story())


def test_contents_are_compared_at_both_ends_and_with_deep_everywhere(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "ENDS", 3)
    kafka: dict[str, Any] = {**kafka_options(server_settings), "transactional_id": server_settings.topic_prefix}
    letter, marker = 20, 22
    tampered = {
        "ALTER TABLE events_log UPDATE payload = '{}' WHERE _offset = 10": (0, 1),
        "ALTER TABLE events_log UPDATE span_id = 'x' WHERE _offset = 1": (1, 2),
        f"{ROW} VALUES ('1', 'tr_1', 1, now(), 1, 0, {marker})": (2, 3),
        f"ALTER TABLE dead_letters UPDATE value = 'x' WHERE offset = {letter}": (3, 4),
    }

    async def differing(*, deep: bool) -> int:
        return (await verify(server_settings, deep=deep)).counts[Kind.DIFFERENT]

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            events = pipe.topics.events
            with sink(server_settings):
                for number in range(20):
                    payload = b'{"a" : 1.0, "b":"\\u00e9 \xc3\xa9 \\n"}'
                    await pipe.send(events, event_key("tr_1"), event_value("tr_1", number, payload), 0)
                assert await pipe.send(events, b"tr_1", b"{broken", 0) == (0, letter)
                async with AIOKafkaProducer(**kafka) as other, other.transaction():
                    await other.send_and_wait(events, event_value("tr_1", 20), key=b"tr_1", partition=0)
                await pipe.until_committed(0, marker + 1)
            assert (await verify(server_settings, deep=True)).compared == marker
            assert await differing(deep=True) == 0
            for statement, expected in tampered.items():
                await pipe.client.command(statement, settings={"mutations_sync": 1})
                assert (await differing(deep=False), await differing(deep=True)) == expected, statement

    asyncio.run(story())


def test_what_is_stored_while_it_runs_is_not_taken_for_rows_beyond_the_log(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                async with events_log(server_settings) as (log, states):
                    await publish(pipe, range(EVENTS))
                    await pipe.until("SELECT count() FROM events_log", 2 * EVENTS)
                    result = Verification()
                    epoch = await current_epoch(server_settings, pipe.client)
                    await StoredOffsets(server_settings, pipe.client, epoch, result).check(log, states)
            assert result.clean, result.findings

    asyncio.run(story())


async def by_the_senders_clock(settings: Settings, topic: str) -> None:
    """As on a topic that was made before `init` asked for the broker's clock."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        await change_configs(admin, topic, {_CLOCK: "CreateTime"})

        async def has_changed() -> bool:  # the broker takes it over some time after it has answered
            return (await read_configs(admin, topic, [_CLOCK]))[_CLOCK].value == "CreateTime"

        await until(has_changed, "the topic has the clock of the sender", 60)
    finally:
        await admin.close()


def test_markers_and_what_retention_deleted_are_not_taken_for_losses(server_settings: Settings) -> None:
    kafka: dict[str, Any] = {**kafka_options(server_settings), "transactional_id": server_settings.topic_prefix}

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            events = pipe.topics.events

            async def delete(table: str, condition: str) -> None:
                await pipe.client.command(
                    f"ALTER TABLE {table} DELETE WHERE {condition}", settings={"mutations_sync": 1}
                )

            await by_the_senders_clock(server_settings, events)
            with sink(server_settings), processor(server_settings):
                async with AIOKafkaProducer(**kafka) as other, other.transaction():
                    await other.send_and_wait(events, b"{broken", key=b"tr_1", partition=0)
                old = event_value("tr_old", 1)
                sent = await pipe.producer.send_and_wait(
                    events, old, key=b"tr_old", partition=0, timestamp_ms=A_LONG_AGO_MS
                )
                assert sent.timestamp == A_LONG_AGO_MS, "the broker does not use its own clock"
                await pipe.send(events, b"tr_1", event_value("tr_1", 2), 0)
                await settled(server_settings, SETTLES_WITHIN_S)
            await delete("events_log", "trace_id = 'tr_old'")
            await delete("trace_summaries", "trace_id = 'tr_old'")
            assert (await verify(server_settings)).counts[Kind.LOST] == 1
            long_log = server_settings.model_copy(update={"topic_retention_hours": 24 * 365})
            result = await verify(long_log)
            assert result.clean, result.findings
            assert (result.events, result.dead_letters) == (1, 1)

            await delete("events_log", "1")
            assert (await verify(long_log)).counts[Kind.LOST] == 1
            admin = AIOKafkaAdminClient(**kafka_options(server_settings))
            await admin.start()
            await admin.delete_records({TopicPartition(events, 0): RecordsToDelete(4)})
            await admin.close()
            result = await verify(server_settings)
            assert result.clean, result.findings
            assert result.expired == 1

    asyncio.run(story())

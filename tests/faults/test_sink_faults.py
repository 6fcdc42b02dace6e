"""Faults at the sink, on the real Kafka and the real ClickHouse: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from clickhouse_connect.driver.exceptions import ClickHouseError

from axonstream.contract.event import encode_again
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH, EXIT_UNAVAILABLE
from axonstream.sinks.events.event_line import event_line, line_end
from axonstream.sinks.events.event_store import COLUMNS, TABLE
from kit.sample_events import event_value
from kit.sink_load import ENDS_WITHIN_S, ended, publish, publish_bad
from kit.sink_process import pipeline, sink, start_sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once
from kit.until import until

pytestmark = pytest.mark.services

SLOW = "ALTER TABLE events_log ADD CONSTRAINT slow CHECK sleepEachRow(0.01) = 0"
OUTLIVING_EVENTS = 200  # 10 s of one INSERT
SLEEPS_LONG = {"function_sleep_max_microseconds_per_block": 60_000_000}


async def delete_topic(settings: Settings, name: str) -> None:
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        await admin.delete_topics([name])

        async def gone() -> bool:
            return name not in await admin.list_topics()

        await until(gone, f"{name} is deleted", ENDS_WITHIN_S)
    finally:
        await admin.close()


async def limit_message_bytes(settings: Settings, topic: str, limit: int) -> None:
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        configs = {"max.message.bytes": str(limit)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    finally:
        await admin.close()


def test_a_slow_clickhouse_is_given_less_at_a_time_and_makes_progress(
    server_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    events = 600 if soak else 200
    settings = server_settings.model_copy(update={"insert_timeout_ms": 600})

    async def story() -> None:
        async with pipeline(settings) as pipe:
            await pipe.query(SLOW)
            await publish(pipe, events)
            started = monotonic()
            with sink(settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", events)
                found = await must_be_stored_once(settings)
            soak_report.add(found.row("ClickHouse too slow for a batch", 1, monotonic() - started))

    asyncio.run(story())


def test_rows_that_clickhouse_refuses_although_the_verdict_passed_them_are_found(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.query("ALTER TABLE events_log ADD CONSTRAINT no_third CHECK event_id % 100 != 3")
            await publish(pipe, 400)
            with sink(server_settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", 396)
                await pipe.until("SELECT count() FROM dead_letters FINAL", 4)
                found = await must_be_stored_once(server_settings)
            refused = await pipe.query(
                "SELECT offset, position(reason, 'no_third') > 0 FROM dead_letters FINAL ORDER BY 1"
            )
            assert [tuple(row) for row in refused] == [(3, 1), (103, 1), (203, 1), (303, 1)]
            soak_report.add(found.row("rows that ClickHouse itself refuses", 4))

    asyncio.run(story())


@pytest.mark.parametrize("broken", ["deleted", "too small"])
def test_without_its_dead_letter_topic_the_sink_ends_and_drops_nothing(
    server_settings: Settings, soak_report: SoakReport, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = server_settings.model_copy(update={"dead_letter_timeout_ms": 1000, "insert_timeout_ms": 1000})

    async def story() -> None:
        async with pipeline(settings) as pipe:
            topic = pipe.topics.dead_letters
            if broken == "deleted":
                await delete_topic(settings, topic)
            else:
                await limit_message_bytes(settings, topic, 2000)
            await publish(pipe, 5)
            await publish_bad(pipe, 1, b"{not json" + b"x" * 4000)
            await publish(pipe, 5)
            with start_sink(settings) as process:
                assert await ended(process) == EXIT_UNAVAILABLE
            complaint = capfd.readouterr().err
            assert topic in complaint
            assert "axonstream init" in complaint
            committed = (await pipe.committed())[pipe.topics.events, 0][0]
            assert committed <= 5, "committed past a record that is neither stored nor a dead letter"
            if broken == "deleted":
                await make_topics(settings)
            else:
                await limit_message_bytes(settings, topic, 1 << 20)
            with sink(settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", 10)
                await pipe.until("SELECT count() FROM dead_letters FINAL", 1)
                found = await must_be_stored_once(settings)
            soak_report.add(found.row(f"dead-letter topic {broken}", 1))

    asyncio.run(story())


def test_a_flood_of_bad_events_stops_the_sink_until_a_person_has_decided(
    server_settings: Settings, soak_report: SoakReport, capfd: pytest.CaptureFixture[str]
) -> None:
    strict = server_settings.model_copy(update={"max_bad_events_per_minute": 20})

    async def story() -> None:
        async with pipeline(strict) as pipe:
            await publish(pipe, 30)
            await publish_bad(pipe, 50)
            await publish(pipe, 30)
            with start_sink(strict) as process:
                assert await ended(process) == EXIT_MISMATCH
            complaint = capfd.readouterr().err
            for word in ("AXONSTREAM_MAX_BAD_EVENTS_PER_MINUTE", pipe.topics.events, "0@30: "):
                assert word in complaint
            assert (await pipe.committed())[pipe.topics.events, 0][0] <= 30
            assert await pipe.query("SELECT count() FROM dead_letters") == [(0,)]
            with sink(server_settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", 60)
                await pipe.until("SELECT count() FROM dead_letters FINAL", 50)
                found = await must_be_stored_once(strict)
            soak_report.add(found.row("more bad events a minute than allowed", 1))

    asyncio.run(story())


def test_materialized_views_of_an_operator_are_not_taken_for_doubled_rows(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    """ClickHouse counts the rows of the views as written, too."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.query("CREATE TABLE by_agent (agent_id String) ENGINE = MergeTree ORDER BY agent_id")
            await pipe.query("CREATE MATERIALIZED VIEW to_by_agent TO by_agent AS SELECT agent_id FROM events_log")
            with sink(server_settings):
                await publish(pipe, 20)
                await pipe.until("SELECT count() FROM by_agent", 20)
                found = await must_be_stored_once(server_settings)
            soak_report.add(found.row("materialized views on the table", 1))

    asyncio.run(story())


def test_a_clickhouse_with_too_many_parts_is_waited_for(server_settings: Settings, soak_report: SoakReport) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.query(
                "ALTER TABLE events_log MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 2, "
                "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"
            )
            with sink(server_settings):
                for number in range(6):
                    await publish(pipe, 10)
                    if number < 2:
                        await pipe.until("SELECT count() FROM events_log", 10 * (number + 1))
                refused = "SELECT count() FROM system.errors WHERE name = 'TOO_MANY_PARTS' AND value > 0"
                await pipe.until(refused, 1)
                assert (await pipe.committed())[pipe.topics.events, 0][0] <= 30
                await pipe.query(
                    "ALTER TABLE events_log RESET SETTING parts_to_delay_insert, parts_to_throw_insert, "
                    "max_bytes_to_merge_at_max_space_in_pool, max_bytes_to_merge_at_min_space_in_pool"
                )
                await pipe.until("SELECT count() FROM events_log", 60)
                found = await must_be_stored_once(server_settings)
            soak_report.add(found.row("too many parts", 1))

    asyncio.run(story())


def test_an_insert_that_outlives_its_sink_is_ended_before_the_next_owner_looks(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    """What ClickHouse sees of a dead sink: an INSERT that is under way when the next owner begins, and would end later.

    It is sent here by hand, with the query id that a sink gives, so that it certainly outlasts the owner's start.
    """
    group = Topics(server_settings.topic_prefix).sink_group
    query_id = f"{group}/{TABLE}/0/deadsink"
    running = f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'"

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.query("ALTER TABLE events_log ADD CONSTRAINT slow CHECK sleepEachRow(0.05) = 0")
            await publish(pipe, OUTLIVING_EVENTS)
            lines = [
                event_line(event, encode_again(event), line_end(1, 0), offset, event.received_at)
                for offset, value in enumerate(event_value(f"tr_{n}", n) for n in range(OUTLIVING_EVENTS))
                if not isinstance(event := validate_record(event_key(f"tr_{offset}"), value), ValidationFailure)
            ]
            statement = f"INSERT INTO {TABLE} ({COLUMNS}) FORMAT JSONEachRow"
            options = {"query_id": query_id, "date_time_input_format": "basic", "async_insert": 0}
            options["input_format_json_read_objects_as_strings"] = 1
            left_behind = asyncio.create_task(
                pipe.client.command(statement, data=b"".join(lines), settings={**options, **SLEEPS_LONG})
            )
            await pipe.until(running, 1)
            await pipe.query("ALTER TABLE events_log DROP CONSTRAINT slow")  # the INSERT under way keeps it
            with sink(server_settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", OUTLIVING_EVENTS)
                await pipe.until(running, 0)
                with pytest.raises(ClickHouseError):
                    await left_behind
                found = await must_be_stored_once(server_settings)
            soak_report.add(found.row("an INSERT outlives its sink", 1))

    asyncio.run(story())

"""The sink process between a real Kafka and a real ClickHouse."""

from __future__ import annotations

import asyncio
import signal
from base64 import b64decode

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.deploy.init import initialise
from axonstream.kafka.client import kafka_options
from axonstream.kafka.record_identity import decode_note
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import WATERMARK_KEY, Topics, event_key, state_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH, EpochError
from axonstream.sinks.starting.epochs import ensure_epoch
from kit.sample_events import NOW_MS, event_value
from kit.sample_summaries import summary
from kit.sink_process import LONGEST_S, Pipeline, pipeline, sink, start_sink
from kit.until import until

pytestmark = pytest.mark.services

PAYLOAD = b'{"x": 1.0, "b":1180591620717411303424, "n":null, "u":"\\u00e9 \xc3\xa9 \\n"}'
STORED_PLACES = "SELECT _partition, _offset FROM events_log ORDER BY ALL"


def test_each_event_is_one_row_with_the_bytes_that_were_sent(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings) as process:
                sent = [
                    await pipe.send(
                        pipe.topics.events, event_key(f"tr_{i % 7}"), event_value(f"tr_{i % 7}", i, PAYLOAD)
                    )
                    for i in range(50)
                ]
                await pipe.until("SELECT count() FROM events_log", 50)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            assert [tuple(row) for row in await pipe.query(STORED_PLACES)] == sorted(sent)
            row = await pipe.query(
                "SELECT DISTINCT tenant_id, payload, metadata, agent_id, toUnixTimestamp64Milli(occurred_at), "
                "_topic_epoch FROM events"
            )
            assert row == [("1", PAYLOAD.decode(), "", "researcher", NOW_MS, 1)]
            committed = await pipe.committed()
            assert sum(committed[pipe.topics.events, p][0] for p in range(server_settings.topic_partitions)) == 50

    asyncio.run(story())


async def publish(pipe: Pipeline, places: list[tuple[int, int]], stop: asyncio.Event) -> None:
    """Events of many traces, until told to stop; `places` is where each acknowledged one is."""
    number = 0
    while not stop.is_set():
        trace = f"tr_{number % 50}"
        sending = [pipe.send(pipe.topics.events, event_key(trace), event_value(trace, number + i)) for i in range(40)]
        places.extend(await asyncio.gather(*sending))
        number += 40


def test_kill_9_at_any_time_loses_and_doubles_nothing(server_settings: Settings) -> None:
    quick = server_settings.model_copy(update={"session_timeout_ms": 6000, "insert_timeout_ms": 2000})

    async def story() -> None:
        async with pipeline(quick) as pipe:
            sent: list[tuple[int, int]] = []
            stop = asyncio.Event()
            publishing = asyncio.create_task(publish(pipe, sent, stop))
            for _ in range(4):
                with sink(quick) as process:
                    goal = len(await pipe.query(STORED_PLACES)) + 200

                    async def stored(goal: int = goal) -> bool:
                        return len(await pipe.query(STORED_PLACES)) >= goal

                    await until(stored, "200 more are stored", LONGEST_S)
                    process.kill()
            stop.set()
            await publishing
            with sink(quick):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", len(sent))
            assert [tuple(row) for row in await pipe.query(STORED_PLACES)] == sorted(sent)

    asyncio.run(story())


def test_sinks_that_join_and_sleep_past_their_session_lose_and_double_nothing(server_settings: Settings) -> None:
    first = server_settings.model_copy(update={"session_timeout_ms": 6000, "insert_timeout_ms": 2000})
    second = first.model_copy(update={"sink_instance": "sink-1"})

    async def story() -> None:
        async with pipeline(first) as pipe:
            sent: list[tuple[int, int]] = []
            stop = asyncio.Event()
            publishing = asyncio.create_task(publish(pipe, sent, stop))
            with sink(first) as sleeper, sink(second):
                await pipe.until("SELECT uniqExact(_partition) FROM events_log", 2)
                sleeper.send_signal(signal.SIGSTOP)
                asleep = [max(offset for p, offset in sent if p == partition) for partition in (0, 1)]
                taken_over = " AND ".join(f"maxIf(_offset, _partition = {p}) > {asleep[p]}" for p in (0, 1))
                await pipe.until(f"SELECT {taken_over} FROM events_log", 1)
                sleeper.send_signal(signal.SIGCONT)
                stop.set()
                await publishing
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", len(sent))
            assert [tuple(row) for row in await pipe.query(STORED_PLACES)] == sorted(sent)

    asyncio.run(story())


def test_a_bad_record_goes_to_the_dead_letters_and_its_neighbours_are_stored(server_settings: Settings) -> None:
    good = event_value("tr_1", 1)
    bad = {
        b"{not json": b"tr_1",
        good + good: b"tr_1",
        good.replace(b'"channel_id":1', b'"channel_id":18446744073709551617'): b"tr_1",
        good.replace(b'"event_id":1', b'"event_id":9223372036854775808'): b"tr_1",
        event_value("tr_other", 2): b"tr_1",
        b"\xff\xfe": b"\xff",
    }

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                places: dict[tuple[int, int], bytes] = {}
                for value, key in bad.items():
                    await pipe.send(pipe.topics.events, b"tr_1", good, 0)
                    places[await pipe.send(pipe.topics.events, key, value, 0)] = value
                await pipe.send(pipe.topics.events, b"tr_1", good, 0)
                await pipe.until("SELECT count() FROM events_log", len(bad) + 1)
                await pipe.until("SELECT count() FROM dead_letters FINAL", len(bad))
            rows = await pipe.query("SELECT partition, offset, hex(value), reason FROM dead_letters FINAL")
            assert {(p, offset): bytes.fromhex(value) for p, offset, value, _ in rows} == places
            assert all(reason for *_, reason in rows)
            assert await pipe.query("SELECT DISTINCT trace_id FROM dead_letters WHERE trace_id != '' ORDER BY ALL") == [
                ("tr_1",),
                ("tr_other",),
            ]
            consumer = AIOKafkaConsumer(
                pipe.topics.dead_letters, **kafka_options(server_settings), auto_offset_reset="earliest"
            )
            await consumer.start()
            letters = [orjson.loads((await consumer.getone()).value or b"") for _ in bad]
            await consumer.stop()
            assert {b64decode(letter["value_b64"]) for letter in letters} == set(bad)

    asyncio.run(story())


def test_summaries_are_merged_and_the_watermark_follows_them(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            topic = pipe.topics.summaries

            async def send_summary(last: int, **changed: object) -> None:
                value = orjson.dumps(summary("tr_1", 0, last, **changed))
                await pipe.send(topic, state_key("1", "tr_1"), value, 0)

            async def send_watermark(folded: int) -> None:
                await pipe.send(topic, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": folded}), 0)

            async def watermark_is(folded: int) -> None:
                async def committed() -> bool:
                    return decode_note((await pipe.committed())[topic, 0][1]).folded == folded

                await until(committed, f"the watermark is {folded}", LONGEST_S)

            with sink(server_settings):
                await send_summary(5)
                await send_watermark(6)
                await watermark_is(6)
                await send_summary(9, first_error_step=3, first_error_identifier="web_search", error_count=1)
                await send_summary(7)
                await send_watermark(10)
                await watermark_is(10)
                await pipe.send(topic, state_key("1", "tr_1"), b'{"v":2}', 0)
                await pipe.until("SELECT count() FROM dead_letters FINAL", 1)
            with sink(server_settings):
                await send_summary(11, first_error_step=3, first_error_identifier="web_search", error_count=1)
                await pipe.until("SELECT max(event_count) FROM trace_summaries FINAL", 12)
                await watermark_is(10)
            assert await pipe.query(
                "SELECT trace_id, event_count, error_count, first_error_step, first_error_identifier, agents, "
                "toUnixTimestamp64Milli(first_at), segments, exact FROM traces WHERE tenant_id = '1'"
            ) == [("tr_1", 12, 1, 3, "web_search", ["researcher"], 5, 1, 1)]

    asyncio.run(story())


def test_a_recreated_topic_stops_the_sink_until_a_new_epoch_is_made(server_settings: Settings) -> None:
    topics = Topics(server_settings.topic_prefix)

    async def recreate() -> None:
        admin = AIOKafkaAdminClient(**kafka_options(server_settings))
        await admin.start()
        await admin.delete_topics([topics.events])

        async def gone() -> bool:
            return topics.events not in await admin.list_topics()

        await until(gone, "the topic is deleted", LONGEST_S)
        await admin.close()
        await make_topics(server_settings)

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                await pipe.send(topics.events, b"tr_1", event_value("tr_1", 1))
                await pipe.until("SELECT count() FROM events_log", 1)
            await recreate()
            with start_sink(server_settings) as process:
                assert process.wait(60) == EXIT_MISMATCH
            with pytest.raises(EpochError, match="--new-epoch"):
                await ensure_epoch(server_settings)

            async def begun() -> bool:
                return await new_epoch(server_settings) == 2

            await until(begun, "epoch 2 is made", LONGEST_S)
            with sink(server_settings):
                await pipe.send(topics.events, b"tr_1", event_value("tr_1", 2))
                await pipe.until("SELECT count() FROM events_log WHERE _topic_epoch = 2", 1)

    asyncio.run(story())


async def new_epoch(settings: Settings) -> int:
    """0 while Kafka still counts the sink that has just ended as a member."""
    try:
        return await ensure_epoch(settings, new=True)
    except EpochError:
        return 0


def test_initialising_again_changes_nothing(server_settings: Settings) -> None:
    asyncio.run(initialise(server_settings))
    assert asyncio.run(ensure_epoch(server_settings)) == 1

"""Steps between a real Kafka and a real ClickHouse: stored with the watermark, replaced, taken back, deleted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import orjson
import pytest
from aiokafka import TopicPartition
from msgspec import structs

from axonstream.contract.deletion import DELETION_FORM, Deletion, Late
from axonstream.contract.event_record import encode_event
from axonstream.contract.step_record import StepRecord, encode_step
from axonstream.event_contract import EventInput
from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import WATERMARK_KEY, event_key, state_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.starting.lost_ends import after_lost_end
from axonstream.sinks.summaries.uncovered import first_uncovered
from kit.sample_events import NOW_MS, event_value
from kit.sample_steps import key_of, step_of
from kit.sample_summaries import summary
from kit.sink_process import LONGEST_S, Pipeline, pipeline, sink
from kit.until import until

pytestmark = pytest.mark.services

_STEPS = "SELECT step, version, status FROM steps_log FINAL WHERE _topic_epoch = 1 ORDER BY step"


async def send_step(pipe: Pipeline, step: StepRecord) -> None:
    await pipe.send(pipe.topics.summaries, key_of(step), encode_step(step), 0)


async def send_summary(pipe: Pipeline, first: int, last: int, trace_id: str = "tr_1") -> None:
    value = orjson.dumps(summary(trace_id, first, last))
    await pipe.send(pipe.topics.summaries, state_key("1", trace_id), value, 0)


async def send_watermark(pipe: Pipeline, folded: int, **more: int) -> None:
    await pipe.send(pipe.topics.summaries, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": folded, **more}), 0)


async def until_folded(pipe: Pipeline, folded: int) -> None:
    """Until the sink has committed this watermark."""

    async def holds() -> bool:
        place = (await pipe.committed()).get((pipe.topics.summaries, 0))
        return place is not None and decode_note(place[1]).folded == folded

    await until(holds, f"the watermark {folded} is committed", LONGEST_S)


def ended(step: int, version: int, trace_id: str = "tr_1") -> StepRecord:
    """It took a second, and cost a millionth of a millionth of a dollar."""
    return step_of(
        trace_id,
        step,
        version,
        status="ok",
        ended_at=NOW_MS + 1000,
        duration_ms=1000,
        end_event_id=version + 1,
        cost_usd="0.000000000001",
        input_tokens=3,
    )


def test_the_newest_version_of_a_step_is_shown_once_and_is_there_with_the_watermark(server_settings: Settings) -> None:
    """Also when an older one comes later, as after a restart of the processor."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                await send_step(pipe, step_of(step=0, version=0))
                await send_watermark(pipe, 1)
                await until_folded(pipe, 1)
                assert await pipe.query(_STEPS) == [(0, 0, "open")]
                await send_step(pipe, ended(0, 4))
                await send_summary(pipe, 0, 4)
                await send_watermark(pipe, 5)
                await until_folded(pipe, 5)
                shown = "SELECT status, duration_ms, toString(cost_usd), input_tokens, output_tokens, name FROM steps"
                assert await pipe.query(shown) == [("ok", 1000, "0.000000000001", 3, None, "web_search")]
                assert await pipe.query("SELECT status, root_name FROM traces") == [("ok", "researcher")]
                await send_step(pipe, step_of(step=0, version=0))
                await send_step(pipe, step_of(step=7, version=9, gone=1))
                await send_watermark(pipe, 6)
                await until_folded(pipe, 6)
                assert await pipe.query(_STEPS) == [(0, 4, "ok"), (7, 9, "open")]
                assert await pipe.query("SELECT count() FROM steps") == [(1,)]

    asyncio.run(story())


def test_what_is_no_step_is_a_dead_letter_and_its_neighbours_are_stored(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                wrong = orjson.dumps(orjson.loads(encode_step(step_of())) | {"cost_usd": "dear"})
                await pipe.send(pipe.topics.summaries, key_of(step_of()), wrong, 0)
                await send_step(pipe, ended(3, 4))
                await send_watermark(pipe, 5)
                await until_folded(pipe, 5)
            letters = await pipe.query("SELECT offset, tenant_id, trace_id, reason FROM dead_letters")
            assert [row[:3] for row in letters] == [(0, "1", "tr_1")]
            assert "cost_usd" in letters[0][3]
            assert await pipe.query(_STEPS) == [(3, 4, "ok")]

    asyncio.run(story())


def test_a_log_that_is_folded_anew_takes_its_steps_back(server_settings: Settings) -> None:
    """A step that had begun before, and had ended since, is open again."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings):
                for number in range(5):
                    await pipe.send(pipe.topics.events, event_key("tr_1"), event_value("tr_1", number + 1), 0)
                await pipe.until("SELECT count() FROM events_log", 5)
                for step in (ended(0, 1), ended(1, 3), step_of(step=2, version=2), ended(4, 4)):
                    await send_step(pipe, step)
                await send_watermark(pipe, 5)
                await until_folded(pipe, 5)
                await pipe.client.command("OPTIMIZE TABLE steps_log FINAL")
                await send_watermark(pipe, 3, anew=1)
                await until_folded(pipe, 3)
                assert await pipe.query(_STEPS) == [(0, 1, "ok"), (1, 1, "open"), (2, 2, "open")]
                shown = "SELECT ended_at, end_event_id, start_event_id, cost_usd FROM steps WHERE step = 1"
                assert await pipe.query(shown) == [(None, 0, 2, None)]
                await send_step(pipe, ended(1, 3))
                await send_watermark(pipe, 4)
                await until_folded(pipe, 4)
                assert await pipe.query(_STEPS) == [(0, 1, "ok"), (1, 3, "ok"), (2, 2, "open")]

    asyncio.run(story())


def test_steps_of_a_lost_end_stay_with_its_events(server_settings: Settings) -> None:
    """Kafka has five events, and had seven."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            tp = TopicPartition(pipe.topics.events, 0)
            with sink(server_settings):
                for number in range(5):
                    await pipe.send(tp.topic, event_key("tr_1"), event_value("tr_1", number + 1), 0)
                await pipe.until("SELECT count() FROM events_log", 5)
                for step in (ended(1, 3), ended(2, 6), ended(5, 6)):
                    await send_step(pipe, step)
                await send_watermark(pipe, 7)
                await until_folded(pipe, 7)
            await pipe.client.command(
                "INSERT INTO events_log SELECT * REPLACE (_offset + 2 AS _offset, event_id + 2 AS event_id) "
                "FROM events_log AS kept WHERE kept._offset IN (3, 4)"
            )

            async def rewind(since: int) -> None:
                assert since == 5

            position = Position(tp, 7, CommitNote().encode(), 0, 5)
            assert (await after_lost_end(server_settings, 1, position, 7, rewind)).committed == 5
            assert await pipe.query(_STEPS) == [(1, 3, "ok"), (2, 2, "open")]
            apart = "SELECT step, version, status FROM steps_log FINAL WHERE _topic_epoch > 1"
            assert await pipe.query(apart) == [(5, 6, "ok")]

    asyncio.run(story())


def test_the_steps_of_a_deleted_trace_go_and_come_back_from_nowhere(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            [identity] = await topic_identities(server_settings, [pipe.topics.events])
            partitions = server_settings.topic_partitions
            with sink(server_settings.model_copy(update={"deletion_pause_s": 0})):
                for number in range(4):
                    await pipe.send(pipe.topics.events, event_key("tr_1"), event_value("tr_1", number + 1), 0)
                for partition in range(partitions):  # a marker that is passed
                    await pipe.send(pipe.topics.events, event_key("tr_2"), event_value("tr_2", 9), partition)
                for step in (ended(0, 1), ended(1, 3, "tr_2")):
                    await send_step(pipe, step)
                for partition in range(partitions):
                    value = orjson.dumps({"v": 1, "folded": 5 if partition == 0 else 1})
                    await pipe.send(pipe.topics.summaries, WATERMARK_KEY, value, partition)
                await until_folded(pipe, 5)
                bounds = tuple(4 if partition == 0 else 0 for partition in range(partitions))
                deletion = Deletion(7, ("tr_1",), Late.REFUSED, 1_900_000_000_000, identity.topic_id, bounds)
                await pipe.send(pipe.topics.control, b"deletion/1/7", DELETION_FORM.dump_json(deletion), 0)
                await pipe.until("SELECT count() FROM finished_deletions", 1)
                left = "SELECT DISTINCT trace_id FROM steps_log"
                assert await pipe.query(left) == [("tr_2",)]
                await send_step(pipe, ended(0, 1))  # a processor writes it once more
                await send_watermark(pipe, 6)
                await until_folded(pipe, 6)
                assert await pipe.query(left) == [("tr_2",)]

    asyncio.run(story())


LOST = {
    "all of them": ["TRUNCATE TABLE steps_log"],
    "one": ["ALTER TABLE steps_log DELETE WHERE step = 1"],
    "an end": [
        "ALTER TABLE steps_log DELETE WHERE step = 2",
        f"""INSERT INTO steps_log (tenant_id, trace_id, step, version, kind, agent_id, span_id, arrived_at, status,
          start_event_id, _topic_epoch)
        SELECT '1', 'tr_1', 2, 2, 'tool', 'researcher', 's2', fromUnixTimestamp64Milli({NOW_MS}), 'open', 3, 1""",
    ],
}


def tool_event(number: int, part: str, span: str) -> bytes:
    event = EventInput(
        identifier="web_search",
        payload={},
        channel_id=1,
        agent_id="researcher",
        event_type=f"agent.tool_call.{part}",
        span_id=span,
    )
    return encode_event(event, tenant_id="1", trace_id="tr_1", fresh_id=number + 1, now_ms=NOW_MS).value


def test_a_sink_that_begins_stores_lost_steps_again_and_misses_none_that_never_was(server_settings: Settings) -> None:
    """The last event is a start that came once more: it has no step, and is no loss."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with sink(server_settings) as process:
                spans = [("start", "s0"), ("start", ""), ("start", "s2"), ("end", "s2"), ("end", ""), ("start", "s0")]
                for number, (part, span) in enumerate(spans):
                    await pipe.send(pipe.topics.events, event_key("tr_1"), tool_event(number, part, span), 0)
                await pipe.until("SELECT count() FROM events_log", len(spans))
                for step in (step_of(span_id="s0"), ended(1, 4), structs.replace(ended(2, 3), span_id="s2")):
                    await send_step(pipe, step)
                await send_summary(pipe, 0, 5)
                await send_watermark(pipe, 6)
                await until_folded(pipe, 6)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            whole = [(0, 0, "open"), (1, 4, "ok"), (2, 3, "ok")]
            assert await pipe.query(_STEPS) == whole
            for lost, statements in LOST.items():
                assert await first_uncovered(pipe.client, 1, 0, 6, None) is None, lost
                for statement in statements:
                    await pipe.client.command(statement, settings={"mutations_sync": 1})
                assert await pipe.query(_STEPS) != whole
                assert await first_uncovered(pipe.client, 1, 0, 6, None) is not None, lost
                with sink(server_settings) as process:
                    await until_query(pipe, _STEPS, whole)
                    await until_folded(pipe, 6)
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(60) == 0

    asyncio.run(story())


async def until_query(pipe: Pipeline, sql: str, expected: Sequence[object]) -> None:
    async def holds() -> bool:
        return await pipe.query(sql) == expected

    await until(holds, f"{sql}: {expected}", LONGEST_S)

"""What a sink does with rows and summaries of records that Kafka has lost, when nobody else knows of them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.kafka.topics import WATERMARK_KEY, event_key, state_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.starting.lost_ends import after_lost_end
from axonstream.sinks.verification import verify
from kit.sample_events import event_value
from kit.sample_summaries import summary
from kit.sink_process import Pipeline, pipeline, sink
from kit.until import until

pytestmark = pytest.mark.services

KEPT, ALL, LATER = 3, 5, 7  # events
_MORE = """INSERT INTO events_log SELECT * REPLACE (_offset + {by:UInt8} AS _offset, event_id + {by:UInt8} AS event_id)
FROM events_log AS kept WHERE kept._offset + {by:UInt8} BETWEEN {kept:UInt8} AND {last:UInt8}"""
_LETTER = """INSERT INTO dead_letters (topic, _topic_epoch, partition, offset, key, value, reason, failed_at)
SELECT {topic:String}, 1, 0, {last:UInt8}, 'k', 'v', 'it was refused', now64(3)"""
_SUMMARIES = "SELECT first_offset, last_offset, event_count, exact FROM trace_summaries FINAL WHERE _topic_epoch = 1"


def test_summaries_of_lost_events_are_taken_back_although_no_processor_knows_of_them(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            tp = TopicPartition(pipe.topics.events, 0)
            with sink(server_settings):
                for number in range(KEPT):
                    await pipe.send(tp.topic, event_key("tr_1"), event_value("tr_1", number), 0)
                value = orjson.dumps(summary("tr_1", 0, ALL - 1, event_count=ALL))
                await pipe.send(pipe.topics.summaries, state_key("1", "tr_1"), value, 0)
                await pipe.until("SELECT count() FROM events_log", KEPT)
                await pipe.until("SELECT count() FROM trace_summaries", 1)
            given: dict[str, Any] = {"by": ALL - KEPT, "kept": KEPT, "last": ALL - 1}
            await pipe.client.command(_MORE, parameters=given)  # what Kafka had, and has no more
            position = Position(tp, ALL, CommitNote().encode(), 0, KEPT)
            rewound: list[int] = []

            async def rewind(since: int) -> None:
                rewound.append(since)

            assert (await after_lost_end(server_settings, 1, position, ALL, rewind)).committed == KEPT
            assert rewound == [KEPT]

            assert (await pipe.client.query(_SUMMARIES)).result_rows == [(0, KEPT - 1, KEPT, 0)]
            kept_apart = "SELECT count() FROM events_log WHERE _topic_epoch > 1"
            assert (await pipe.client.query(kept_apart)).result_rows == [(ALL - KEPT,)]

    asyncio.run(story())


@pytest.mark.parametrize("lost", ["events", "a dead letter"])
def test_a_log_that_has_outgrown_what_it_lost_is_stored_although_the_commit_was_lost_as_well(
    lost: str, server_settings: Settings
) -> None:
    """The commit is one that the log agrees with. What is stored above it stands at offsets of other records."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            topic = pipe.topics.events
            with sink(server_settings):
                for number in range(KEPT):
                    await pipe.send(topic, event_key("tr_1"), event_value("tr_1", number), 0)
                await pipe.until_committed(0, KEPT)
            given: dict[str, Any] = {"by": ALL - KEPT, "kept": KEPT, "last": ALL - 1, "topic": topic}
            await pipe.client.command(_MORE if lost == "events" else _LETTER, parameters=given)
            for number in range(KEPT, LATER):
                await pipe.send(topic, event_key("tr_1"), event_value("tr_1", 100 + number), 0)
            with sink(server_settings):
                await pipe.until_committed(0, LATER)

            assert (await verify(server_settings, deep=True)).findings == []
            table, kept_apart = ("events_log", ALL - KEPT) if lost == "events" else ("dead_letters", 1)
            found = await pipe.client.query(f"SELECT count() FROM {table} WHERE _topic_epoch > 1")
            assert found.result_rows == [(kept_apart,)]

    asyncio.run(story())


async def until_folded(pipe: Pipeline) -> None:
    """Wait until the watermark of LATER is stored."""

    async def is_stored() -> bool:
        _, metadata = (await pipe.committed())[pipe.topics.summaries, 0]
        return decode_note(metadata).folded == LATER

    await until(is_stored, f"the watermark is {LATER}", 60)


def test_summaries_that_were_stored_before_the_events_were_set_apart_are_stored_again(
    server_settings: Settings,
) -> None:
    """A processor was quicker than the sink: what it made of the new events is taken back with what is lost."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            topics, key = pipe.topics, state_key("1", "tr_1")

            async def folded_up_to(last: int) -> None:
                value = orjson.dumps(summary("tr_1", 0, last, event_count=last + 1, exact=0))
                await pipe.send(topics.summaries, key, value, 0)
                await pipe.send(topics.summaries, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": last + 1}), 0)

            with sink(server_settings):
                for number in range(KEPT):
                    await pipe.send(topics.events, event_key("tr_1"), event_value("tr_1", number), 0)
                await folded_up_to(KEPT - 1)
                await pipe.until_committed(0, KEPT)
                await pipe.until("SELECT count() FROM trace_summaries", 1)
            await folded_up_to(LATER - 1)
            with sink(server_settings):  # it stores the summaries; the events are not on Kafka yet
                await until_folded(pipe)
            given: dict[str, Any] = {"by": ALL - KEPT, "kept": KEPT, "last": ALL - 1}
            await pipe.client.command(_MORE, parameters=given)
            for number in range(KEPT, LATER):
                await pipe.send(topics.events, event_key("tr_1"), event_value("tr_1", 100 + number), 0)
            with sink(server_settings):
                await pipe.until_committed(0, LATER)
                await until_folded(pipe)

            assert (await verify(server_settings, deep=True)).findings == []
            assert (0, LATER - 1, LATER, 0) in (await pipe.client.query(_SUMMARIES)).result_rows

    asyncio.run(story())

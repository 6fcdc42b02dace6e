"""Summaries that the sink makes of rows count nothing that is deleted, also while ClickHouse still has its rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest
from aiokafka import TopicPartition

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import DELETION_FORM, Deletion, Late
from axonstream.kafka.record_identity import CommitNote
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import WATERMARK_KEY, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.starting.lost_ends import after_lost_end
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline, sink

pytestmark = pytest.mark.services

TRACES = ("tr_1", "tr_1", "tr_2", "tr_1", "tr_1")  # by offset; the marker of the deletion of tr_1 stands for the third
BOUND, ALL = 2, len(TRACES)
NEVER = 1 << 40  # a marker of the other partition that nobody reaches, so that ClickHouse deletes nothing yet
BEYOND = 10  # from an offset to that of a row that Kafka has lost
_MORE = f"""INSERT INTO events_log SELECT * REPLACE (_offset + {BEYOND} AS _offset, event_id + {BEYOND} AS event_id)
FROM events_log AS kept WHERE kept._offset < {ALL}"""
_SUMMARIES = """SELECT trace_id, first_offset, last_offset, event_count FROM trace_summaries FINAL
WHERE _topic_epoch {epoch} ORDER BY ALL"""


async def stored(pipe: Pipeline, settings: Settings) -> Deletion:
    """The events, as rows, and the deletion that has not begun."""
    with sink(settings):
        for number, trace in enumerate(TRACES):
            await pipe.send(pipe.topics.events, event_key(trace), event_value(trace, number), 0)
        await pipe.until("SELECT count() FROM events_log", ALL)
    [identity] = await topic_identities(settings, [pipe.topics.events])
    return Deletion(7, ("tr_1",), Late.STORED, 1_900_000_000_000, identity.topic_id, (BOUND, NEVER))


def test_a_fold_from_the_middle_makes_summaries_of_later_events_alone(server_settings: Settings) -> None:
    """One of both kinds went when the deletion was finished, and the later events were in no summary."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            deletion = await stored(pipe, server_settings)
            await pipe.send(pipe.topics.control, b"deletion/1/7", DELETION_FORM.dump_json(deletion), 0)
            anew = orjson.dumps({"v": 1, "folded": ALL, "anew": 1})
            with sink(server_settings):
                await pipe.send(pipe.topics.summaries, WATERMARK_KEY, anew, 0)
                await pipe.until("SELECT count() FROM trace_summaries FINAL", 2)
            found = await pipe.query(_SUMMARIES.format(epoch="= 1"))
            assert found == [("tr_1", BOUND + 1, ALL - 1, 2), ("tr_2", BOUND, BOUND, 1)]

    asyncio.run(story())


def test_summaries_of_a_lost_end_count_later_events_alone(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            deletion = await stored(pipe, server_settings)
            deleted = DeletedTraces()
            deleted.put("1", replace(deletion, bounds=(BOUND + BEYOND, NEVER)))
            await pipe.client.command(_MORE)
            position = Position(TopicPartition(pipe.topics.events, 0), ALL + BEYOND, CommitNote().encode(), 0, ALL)

            async def rewind(since: int) -> None:
                assert since == ALL

            found = await after_lost_end(server_settings, 1, position, ALL + BEYOND, rewind, deleted)
            assert found.committed == ALL
            apart = await pipe.query(_SUMMARIES.format(epoch="> 1"))
            last = ALL - 1 + BEYOND
            assert apart == [("tr_1", last - 1, last, 2), ("tr_2", BOUND + BEYOND, BOUND + BEYOND, 1)]

    asyncio.run(story())

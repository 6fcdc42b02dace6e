"""Reads that wait share one poller, which asks Kafka little and stops when nobody waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets, PipelineOffsetsError, visible_offset
from axonstream.gateway.reading.visibility import SILENT_S, Visibility
from axonstream.settings.settings import Settings
from kit.until import until


@dataclass
class Told:
    end: int
    asked_at: float


class ScriptedOffsets:
    """Two partitions whose progress the test sets; each answer takes one turn of the event loop.

    Of a partition that is `silent` no end is told.
    """

    partitions = range(2)

    def __init__(self) -> None:
        self.end = {0: 0, 1: 0}
        self.silent: set[int] = set()
        self.seen = {0: 0, 1: 0}
        self.questions = 0
        self.broken = False

    def partition_of(self, trace_id: str) -> int:
        return int(trace_id)

    async def told_ends(self) -> dict[int, Told]:
        self.questions += 1
        asked_at = monotonic()
        answer = {p: Told(end, asked_at) for p, end in self.end.items() if p not in self.silent}
        await asyncio.sleep(0)
        if self.broken:
            raise PipelineOffsetsError("the broker is away")
        return answer

    async def visible(self) -> dict[int, int]:
        await asyncio.sleep(0)
        return dict(self.seen)


def test_a_read_of_what_is_visible_waits_for_nothing() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        assert await Visibility(offsets, 1000).of_trace("0")

    asyncio.run(scenario())


def test_a_read_waits_for_its_own_partition_only_and_a_list_for_all() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        offsets.end[1] = 5
        visibility = Visibility(offsets, 30)
        assert await visibility.of_trace("0")
        assert not await visibility.of_trace("1")
        assert not await visibility.of_everything()
        offsets.seen[1] = 5
        assert await visibility.of_everything()

    asyncio.run(scenario())


def test_a_hundred_reads_at_once_ask_once() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        visibility = Visibility(offsets, 1000)
        assert all(await asyncio.gather(*[visibility.of_trace("0") for _ in range(100)]))
        assert offsets.questions == 1

    asyncio.run(scenario())


def test_a_read_that_comes_while_a_question_is_on_its_way_has_a_question_of_its_own() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        visibility = Visibility(offsets, 30)
        first = asyncio.create_task(visibility.of_trace("0"))
        while offsets.questions == 0:
            await asyncio.sleep(0)
        offsets.end[0] = 1  # acknowledged after the first question was sent, before the second read begins
        assert not await visibility.of_trace("0")
        assert await first

    asyncio.run(scenario())


def test_kafka_that_cannot_be_asked_is_no_staleness() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        offsets.broken = True
        visibility = Visibility(offsets, 30)
        with pytest.raises(UnavailableError, match="the broker is away"):
            await visibility.of_trace("0")
        offsets.broken = False
        assert await Visibility(offsets, 1000).of_trace("0")
        await visibility.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_partition_without_a_leader_delays_the_reads_of_its_own_traces_alone() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        offsets.silent = {1}
        visibility = Visibility(offsets, 60_000)
        sick = asyncio.create_task(visibility.of_trace("1"))
        assert await visibility.of_trace("0")
        began = monotonic()
        everything = await visibility.of_everything()
        assert (everything.is_fresh, everything.silent) == (False, (1,))
        assert monotonic() - began >= SILENT_S / 2, "a new leader is given the time to answer"
        assert not sick.done()
        offsets.silent = set()
        assert await sick
        assert await visibility.of_everything()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_list_waits_for_what_is_led_although_another_partition_is_silent() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        offsets.silent, offsets.end[0] = {1}, 5
        visibility = Visibility(offsets, 60_000)
        began, waits = monotonic(), asyncio.create_task(visibility.of_everything())
        await until(lambda: monotonic() > began + 2 * SILENT_S, "a silent partition is not waited for any more", 10)
        assert not waits.done()
        offsets.seen[0] = 5
        assert (await waits).silent == (1,)

    asyncio.run(scenario())


def test_a_read_of_a_partition_that_stays_silent_is_stale_and_not_unavailable() -> None:
    async def scenario() -> None:
        offsets = ScriptedOffsets()
        offsets.silent = {1}
        read = await Visibility(offsets, 30).of_trace("1")
        assert (read.is_fresh, read.silent) == (False, (1,))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("events", "watermark", "visible"),
    [(-1, "", 0), (7, "", 0), (7, "5", 5), (5, "7", 5), (-1, "7", 0)],
)
def test_visible_is_what_both_sinks_have_stored(events: int, watermark: str, visible: int) -> None:
    e, s = TopicPartition("agent-events", 0), TopicPartition("trace-summaries", 0)
    committed = {e: OffsetAndMetadata(events, ""), s: OffsetAndMetadata(3, watermark)}
    assert visible_offset(committed, e, s) == visible


def test_a_trace_is_looked_for_where_the_java_client_would_put_it() -> None:
    async def scenario() -> list[int]:
        offsets = PipelineOffsets(Settings(topic_partitions=8))
        return [offsets.partition_of(trace_id) for trace_id in ("foobar", "tr_1", "tr_pipeline_run_99")]

    assert asyncio.run(scenario())[0] == (-790332482 & 0x7FFFFFFF) % 8  # the vector of Kafka's own UtilsTest

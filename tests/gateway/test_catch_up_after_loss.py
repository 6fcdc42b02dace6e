"""A stream that resumes when a log has lost its end, before it was seen that it has: all that came since comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import OffsetAndTimestamp

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live import catch_up
from axonstream.gateway.live.catch_up import CatchUps
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Place, Position, read_position
from axonstream.gateway.live.reader import LiveReader
from axonstream.kafka.record_identity import short_digest
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from kit.sample_events import NOW_MS, Record, event_value

MARK = b"\x07" * 6
MINUTE_MS = 60_000
HOUR_AGO = NOW_MS - 60 * MINUTE_MS
PATIENCE_S = 60.0
TOPIC = Topics("").events


def record(partition: int, offset: int, number: int, at_ms: int) -> Record:
    trace_id = f"tr_{partition}"
    return Record(TOPIC, partition, offset, event_key(trace_id), event_value(trace_id, number), at_ms)


HAD = record(0, 0, 1, HOUR_AGO)
LOST = record(1, 0, 2, HOUR_AGO)
THERE = {
    0: [HAD, record(0, 1, 10, NOW_MS)],
    1: [record(1, 0, 100, HOUR_AGO + 5 * MINUTE_MS), record(1, 1, 101, HOUR_AGO + 30 * MINUTE_MS)],
}


class ScriptedLog:
    """A consumer of two partitions, the first before the second; the first one of all breaks down between them."""

    def __init__(self) -> None:
        self.at: dict[TopicPartition, int] = {}
        self.breaks = True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.at = {tp: self.at.get(tp, 0) for tp in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(THERE[tp.partition]) for tp in partitions}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        found = {tp: [each for each in THERE[tp.partition] if each.timestamp >= ms] for tp, ms in times.items()}
        return {tp: OffsetAndTimestamp(some[0].offset, 0) if some else None for tp, some in found.items()}

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Record]]:
        await asyncio.sleep(0)
        for tp, at in sorted(self.at.items()):
            if records := THERE[tp.partition][at:]:
                if tp.partition == 1 and self.breaks:
                    self.breaks = False
                    raise KafkaConnectionError("a broker has gone")
                self.at[tp] += len(records)
                return {tp: records}
        return {}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> ScriptedLog:
    scripted = ScriptedLog()
    monkeypatch.setattr(catch_up, "live_consumer", lambda _: scripted)
    return scripted


class Resumed:
    """A stream of everything, and the shared reader that has read all that is there."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.reader = LiveReader(self.settings, lambda _: None, lambda *_: None)
        places = [Place(len(some), 1, short_digest(some[-1])) for some in THERE.values()]
        self.reader._read = ReadSoFar(MARK, places, NOW_MS)
        self.catch_ups = CatchUps(self.settings, self.reader, 4, LiveCounts())

    async def frames(self, since: Position, most: int | None = None) -> list[str]:
        """What it is told, up to where it has caught up; at most so many."""
        cursor = self.reader.open(LiveFilter("1"), ApiVersion.V0, resumes=True)
        catching_up = self.catch_ups.begin(cursor, since, positions=False)
        told: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while (most is None or len(told) < most) and (chunk := await catching_up.next(1)) is not None:
                told += [frame for frame in chunk.decode().split("\n\n") if frame]
        await catching_up.stop()
        self.reader.close(cursor)
        return told

    def position_of(self, frame: str) -> Position:
        [text] = [line.removeprefix("id: ") for line in frame.splitlines() if line.startswith("id: ")]
        return read_position(self.reader.delivery.sealed.content("1", text), MARK)


def ids(frames: Sequence[str]) -> list[int | str]:
    """The events' ids; of what is none, what it says."""
    data = [json.loads(frame.partition("data: ")[2]) for frame in frames]
    return [each.get("id") or each["reason"] for each in data]


SINCE = Position(
    LiveFilter("1").kind, {0: Place(1, 1, short_digest(HAD)), 1: Place(1, 1, short_digest(LOST))}, HOUR_AGO
)


@pytest.mark.slow
def test_what_came_since_a_loss_comes_when_the_log_breaks_off_before_the_loss_is_found(log: ScriptedLog) -> None:
    """The other partition has been read up to now: that says nothing of this one."""

    async def scenario() -> None:
        stream = Resumed()
        frames = await stream.frames(SINCE)
        assert ids(frames) == [10, "lost_end", 100, 101]
        assert not log.breaks
        assert stream.position_of(frames[-1]).newest_ms == NOW_MS, "now every partition has shown what it has"

    asyncio.run(scenario())


def test_a_position_from_before_the_loss_is_found_tells_no_time_that_is_newer(log: ScriptedLog) -> None:
    """Its reader resumes elsewhere, and hears of the loss there."""

    async def scenario() -> None:
        stream = Resumed()
        [frame] = await stream.frames(SINCE, most=1)
        assert ids([frame]) == [10]
        position = stream.position_of(frame)
        assert position.newest_ms == HOUR_AGO
        log.breaks = False
        frames = await stream.frames(position)
        assert ids(frames) == ["lost_end", 100, 101]
        assert stream.position_of(frames[-1]).newest_ms == THERE[1][-1].timestamp

    asyncio.run(scenario())

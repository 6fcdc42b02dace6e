"""The processor's look at the leaders: a partition without a leader hides no loss of another."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition
from faust.types import TP
from typing_extensions import override

from axonstream.kafka.leader_watch import Leader, LeaderWatch, LogEnd
from axonstream.kafka.record_identity import NO_EPOCH, Marks, RecordMark, Standing
from axonstream.settings.settings import Settings
from axonstream.stream_processors import continuity
from axonstream.stream_processors.continuity import PATIENCE, Continuity

ONE, OTHER = TP("agent-events", 0), TP("agent-events", 1)
MARK = RecordMark(9, "d", 5)


class Stopped(BaseException):
    """Instead of the end of the process."""


class Folded:
    """Two partitions, each folded up to 10; the first has no leader."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.end, self.leader = 10, Leader(5, "a connection")
        self.is_lost = False
        monkeypatch.setattr(continuity, "stop_process", self.stop)
        monkeypatch.setattr(Continuity, "_compare", self.compare)
        self.continuity = Continuity(Settings)
        for tp in (ONE, OTHER):
            self.continuity.begins(tp, MARK, 10)

    def stop(self, error: Exception) -> None:
        raise Stopped(str(error))

    async def compare(self, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
        standing = Standing.OTHER if self.is_lost else Standing.SAME
        return {(tp, mark): standing for tp, some in marks.items() for mark in some}

    async def told_ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, LogEnd]:
        return {tp: LogEnd(self.end, self.leader) for tp in partitions if tp.partition == OTHER.partition}

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self.continuity.look(self.told_ends))


def test_a_log_that_is_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = Folded(monkeypatch)
    folded.look()
    folded.is_lost, folded.leader = True, Leader(6, "another")
    with pytest.raises(Stopped, match=r"^agent-events partition 1: "):
        folded.look()


def test_a_log_that_stays_too_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = Folded(monkeypatch)
    folded.end = 9
    folded.look(PATIENCE - 1)
    folded.end = 10
    folded.look()
    folded.end = 9
    folded.look(PATIENCE - 1)
    with pytest.raises(Stopped, match=r"^agent-events partition 1: "):
        folded.look()


class Told(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = b"k"
    value: bytes | None = b"v"


class OneLeader(LeaderWatch):
    """Which was never another."""

    def __init__(self) -> None:
        """It watches nothing."""

    @override
    def doubts(self, partition: TopicPartition, below: int) -> list[int]:
        return []

    @override
    def epoch_at(self, partition: TopicPartition, offset: int) -> int:
        return NO_EPOCH


def test_a_record_that_an_earlier_life_counted_on_is_looked_at_until_folding_is_beyond_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Below it the log may be as it was, and all the same have lost what is in the states already."""
    folded = Folded(monkeypatch)
    compared: list[RecordMark] = []

    async def compare(_: Continuity, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
        compared.extend(mark for some in marks.values() for mark in some)
        return {(tp, mark): Standing.SAME for tp, some in marks.items() for mark in some}

    monkeypatch.setattr(Continuity, "_compare", compare)
    folded.continuity = Continuity(Settings)
    folded.continuity.begins(OTHER, MARK, 3)
    for end in (5, 20):
        asyncio.run(folded.continuity.must_follow(OTHER, [Told(end - 1)], OneLeader()))
        folded.end, folded.leader = end, Leader(end, "a connection")
        folded.look()
    assert [mark.offset for mark in compared] == [MARK.offset, 19]

"""The processor's look at the leaders: a partition without a leader hides no loss of another."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from axonstream.kafka.leader_watch import Leader, LogEnd
from axonstream.kafka.record_identity import Marks, RecordMark, Standing
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

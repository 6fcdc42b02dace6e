"""The look at the leaders, once a second: a partition without a leader hides no loss of another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition

from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.record_identity import CommitNote, Marks, RecordMark, Standing
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import LostEndError
from axonstream.sinks.positions import log_guard
from axonstream.sinks.positions.log_guard import LogGuard
from axonstream.sinks.positions.positions import Position
from kit.scripted_leaders import ScriptedLeaders
from kit.until import until

ONE, OTHER = TopicPartition("agent-events", 0), TopicPartition("agent-events", 1)
MARK = RecordMark(9, "d", 5)
PATIENCE_S = 60.0


class Guarded:
    """Two partitions, of which each was read and committed up to 10."""

    def __init__(self) -> None:
        self.lost: set[TopicPartition] = set()
        self.leaders = ScriptedLeaders({ONE: 10, OTHER: 10})
        consumer = self.leaders.consumer
        self.guard = LogGuard(Settings(), consumer, LeaderWatch(consumer), self.compare)

    async def compare(self, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
        standing = {tp: Standing.OTHER if tp in self.lost else Standing.SAME for tp in marks}
        return {(tp, mark): standing[tp] for tp, some in marks.items() for mark in some}

    async def begin(self) -> None:
        positions = [Position(tp, 10, CommitNote(last=MARK).encode(), 0, 10) for tp in (ONE, OTHER)]
        assert not await self.guard.begin(positions)

    async def finds(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(LostEndError, match="agent-events partition 1: "):
                await self.guard.watch()


@pytest.mark.parametrize("grown", [False, True])
def test_a_partition_without_a_leader_hides_no_loss_of_another(monkeypatch: pytest.MonkeyPatch, grown: bool) -> None:
    monkeypatch.setattr(log_guard, "LOOK_S", 0.01)

    async def scenario() -> None:
        guarded = Guarded()
        await guarded.begin()
        del guarded.leaders.led[ONE]
        guarded.leaders.epoch += 1
        guarded.leaders.ends[OTHER] = 20 if grown else 5
        guarded.lost = {OTHER} if grown else set()
        await guarded.finds()

    asyncio.run(scenario())


def test_a_partition_that_has_a_leader_again_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_guard, "LOOK_S", 0.01)

    async def scenario() -> None:
        guarded = Guarded()
        await guarded.begin()
        node = guarded.leaders.led.pop(OTHER)
        guarded.leaders.ends[OTHER] = 5
        finding = asyncio.create_task(guarded.finds())
        await until(lambda: "do not say" in caplog.text, "it is said that nothing is known", PATIENCE_S)
        assert not finding.done()
        guarded.leaders.led[OTHER] = node
        await finding
        assert caplog.text.count("do not say now where these logs end: agent-events partition 1") == 1

    asyncio.run(scenario())

"""Notices while the processor works that a log has lost what was folded of it: then the process ends.

Its next life compares what is committed with the log, and folds anew what it must (see start_position). When another
leader answers than before, what it gave must follow the last record that was folded. And once a second the leaders are
asked where their logs end, for partitions of which nothing comes. A partition whose leader does not say it is left for
the next look: it holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from axonstream.kafka.leader_watch import LeaderWatch, LogEnd
from axonstream.kafka.log_trust import LogTrust
from axonstream.kafka.record_identity import Marks, RecordMark, Standing, later_of, mark_of, standings
from axonstream.process.fail_stop import stop_process
from axonstream.settings.settings import Settings
from axonstream.stream_processors.errors import BrokenInvariantError

log = logging.getLogger(__name__)

LOOK_S = 1.0
AGAIN_S = 0.25
PATIENCE = 5  # looks in a row: a broker that has just started may tell an end below what it has acknowledged

ToldEnds = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, LogEnd]]]


class Continuity:
    """Of the partitions that are folded here. `settings` are known once the app has started."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._trust = LogTrust(self._compare)
        self._last: dict[TopicPartition, RecordMark] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._short: dict[TopicPartition, int] = {}  # looks in a row that found a partition too short

    def forget(self) -> None:
        """The partitions are assigned anew."""
        self._last.clear()
        self._reached.clear()
        self._short.clear()

    def begins(self, tp: tuple[str, int], mark: RecordMark | None, position: int) -> None:
        """Folding begins at `position`; the log was compared up to the record of `mark`, which may be above it."""
        of = TopicPartition(*tp)
        self._reached[of] = position
        if mark is not None:
            self._last[of] = mark

    async def must_follow(self, tp: tuple[str, int], records: Sequence[Any], watch: LeaderWatch) -> None:
        """Before these are folded; waits until Kafka shows what it has."""
        if not records:
            return
        of = TopicPartition(*tp)
        marks: list[RecordMark] = []
        for doubtful in watch.doubts(of, records[-1].offset + 1):
            last = next((record for record in reversed(records) if record.offset < doubtful), None)
            mark = later_of(self._last.get(of), None if last is None else mark_of(last))
            if mark is not None:
                marks.append(mark)
        while marks:
            try:
                found = await self._compare({of: marks})
            except KafkaError as error:
                log.warning("%s cannot be compared with what was folded, trying again: %r", of, error)
                await asyncio.sleep(AGAIN_S)
                continue
            if any(standing.lost_its_end for standing in found.values()):
                _stop({of})
            break
        folded_next = mark_of(records[-1], watch.epoch_at(of, records[-1].offset))
        self._last[of] = later_of(self._last.get(of), folded_next) or folded_next
        self._reached[of] = records[-1].offset + 1

    async def look(self, told_ends: ToldEnds) -> None:
        """Raises KafkaError when Kafka does not say."""
        reached, marks = dict(self._reached), {tp: [mark] for tp, mark in self._last.items()}
        if not reached:
            return
        ends = await told_ends(reached)
        looks = {tp: self._short.get(tp, 0) for tp in reached}
        self._short = looks | {tp: looks[tp] + 1 if end.end < reached[tp] else 0 for tp, end in ends.items()}
        short = {tp for tp, times in self._short.items() if times >= PATIENCE}
        told = {tp: mark for tp, mark in marks.items() if tp in ends}
        lost = await self._trust.lost({tp: ends[tp].leader for tp in told}, told)
        if lost or short:
            _stop(lost | short)

    async def _compare(self, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
        return await standings(self._settings(), marks)


def _stop(partitions: Collection[TopicPartition]) -> None:
    names = ", ".join(f"{tp.topic} partition {tp.partition}" for tp in sorted(partitions))
    stop_process(BrokenInvariantError(f"{names}: Kafka has lost events that were folded; the log is folded again"))

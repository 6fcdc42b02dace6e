"""Notices while the sink works that a log has lost its end: nothing is committed of records that follow a lost one.

A record that was read stays where it is as long as the same leader answers on the same connection. When another one
does, the last record that was handed on is compared with the log, before anything that was fetched from it is handed
on. And once a second the leaders are asked where their logs end, for partitions of which nothing is fetched. Where a
leader does not say it, the partition is left for the next look: it holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from axonstream.kafka.leader_watch import LeaderWatch, LogEnd, log_ends, told_ends
from axonstream.kafka.log_trust import LogTrust
from axonstream.kafka.record_identity import Marks, RecordMark, Standing, mark_of, standings
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import LostEndError
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.read_record import ReadRecord

log = logging.getLogger(__name__)

LOOK_S = 1.0
PATIENCE_S = 5.0  # a broker that has just started may tell an end below what it has acknowledged
AGAIN_S = 0.25
_TIMEOUT_S = 10.0

Compare = Callable[[Marks], Awaitable[Mapping[tuple[TopicPartition, RecordMark], Standing]]]
Ask = Callable[[Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, LogEnd]]]


class LogGuard:
    """Of one topic, as one flow reads it. `marks` are the last records that were handed on, by partition."""

    def __init__(
        self, settings: Settings, consumer: AIOKafkaConsumer, watch: LeaderWatch, compare: Compare | None = None
    ) -> None:
        self._consumer = consumer
        self._watch = watch
        self._compare: Compare = compare or partial(standings, settings)
        self._trust = LogTrust(self._compare)
        self._committed: dict[TopicPartition, int] = {}
        self._untold: set[TopicPartition] = set()
        self.marks: dict[TopicPartition, RecordMark] = {}
        self.stands = False  # by the last look: every leader has answered, and no log has lost its end

    async def begin(self, positions: Sequence[Position]) -> set[TopicPartition]:
        """The partitions that are not read on from what was committed, because that is not there any more.

        Raises KafkaError when Kafka does not say.
        """
        self.marks = {position.partition: mark for position in positions if (mark := position.note.last) is not None}
        self._committed = {position.partition: position.committed for position in positions}
        self._untold.clear()
        self._watch.forget(self._committed)
        tries = int(PATIENCE_S / AGAIN_S)
        while short := await self._short(self._all_ends):
            tries -= 1
            if not tries:
                break
            await asyncio.sleep(AGAIN_S)
        return short | await self._lost(self._all_ends)

    def goes_on(self, position: Position) -> None:
        """The partition is read from another place than `begin` was told."""
        tp = position.partition
        self._committed[tp] = position.committed
        self.marks.pop(tp, None)
        if position.note.last is not None:
            self.marks[tp] = position.note.last

    async def fetched(self, records: Mapping[TopicPartition, Sequence[ReadRecord]]) -> None:
        """Before these are handed on. Raises LostEndError when one of them does not follow what was before it."""
        before: dict[TopicPartition, list[RecordMark]] = {}
        for tp, some in records.items():
            for doubtful in self._watch.doubts(tp, some[-1].offset + 1):
                last = next((record for record in reversed(some) if record.offset < doubtful), None)
                mark = self.marks.get(tp) if last is None else self.mark(tp, last)
                if mark is not None:
                    before.setdefault(tp, []).append(mark)
        if before:
            await self._must_stand(before)
        for tp, some in records.items():
            self.marks[tp] = self.mark(tp, some[-1])

    def mark(self, tp: TopicPartition, record: ReadRecord) -> RecordMark:
        """The mark of a record that this consumer has fetched."""
        return mark_of(record, self._watch.epoch_at(tp, record.offset))

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Kafka has taken these as committed."""
        self._committed.update(offsets)

    async def watch(self) -> None:
        """Runs until it is cancelled. Raises LostEndError when a log is not the one that was read."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if lost := await self._short(self._told_ends) | await self._lost(self._told_ends):
                    raise _lost_ends(lost)
                self.stands = not self._untold
            except KafkaError as error:
                self.stands = False
                log.info("Kafka does not say now whether the logs are those that were read: %r", error)

    async def _short(self, ask: Ask) -> set[TopicPartition]:
        """Asks only the leaders."""
        committed = dict(self._committed)
        ends = await ask(list(committed))
        return {tp for tp, offset in committed.items() if tp in ends and ends[tp].end < offset}

    async def _lost(self, ask: Ask) -> set[TopicPartition]:
        marks = {tp: [mark] for tp, mark in self.marks.items()}
        if not marks:
            return set()
        ends = await ask(list(marks))
        return await self._trust.lost({tp: end.leader for tp, end in ends.items()}, {tp: marks[tp] for tp in ends})

    async def _all_ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, LogEnd]:
        return await log_ends(self._consumer, partitions, _TIMEOUT_S)

    async def _told_ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, LogEnd]:
        ends = await told_ends(self._consumer, partitions, _TIMEOUT_S)
        self._untold.difference_update(ends)
        if untold := set(partitions) - ends.keys() - self._untold:
            self._untold |= untold
            log.warning("the leaders do not say now where these logs end: %s", _names(untold))
        return ends

    async def _must_stand(self, marks: Mapping[TopicPartition, list[RecordMark]]) -> None:
        while True:
            try:
                found = await self._compare(marks)
            except KafkaError as error:
                log.warning("Kafka does not show what it has, trying again: %r", error)
                await asyncio.sleep(AGAIN_S)
                continue
            if lost := {tp for (tp, _), standing in found.items() if standing.lost_its_end}:
                raise _lost_ends(lost)
            return


def _lost_ends(partitions: Iterable[TopicPartition]) -> LostEndError:
    return LostEndError(f"{_names(partitions)}: the log has lost records that were read")


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{tp.topic} partition {tp.partition}" for tp in sorted(partitions))

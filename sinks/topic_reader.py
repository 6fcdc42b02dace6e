"""One topic as the sink's consumer reads it: fetch, go back to what is committed, commit.

Each commit carries a note of the record before it and of the database that has the rows, so that the next owner of the
partition can tell whether the log and the database are still the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from axonstream.kafka.consumed_offsets import consumed_offsets
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.record_identity import RecordMark, decode_note
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import RevokedError
from axonstream.sinks.positions.log_guard import LogGuard
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.read_record import ReadRecord

READ_WAIT_MS = 1000
FETCH_ROWS = 2000  # of one fetch: the body of the INSERT under way has to be sent, too


class Fetched(NamedTuple):
    """Records by partition, with the mark of the last one, and by partition the last offset that was read, where any
    was: markers of transactions included.
    """

    records: Mapping[TopicPartition, Sequence[ReadRecord]]
    marks: Mapping[TopicPartition, RecordMark]
    last: Mapping[TopicPartition, int]

    def size(self) -> int:
        """How many records."""
        return sum(map(len, self.records.values()))


class Reached(NamedTuple):
    """How far a partition was read: the last offset, markers included, and the mark of the last record, if any."""

    offset: int
    mark: RecordMark | None


class TopicReader:
    """`installation` is the id of the database, for the notes, once it is known."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, watch: LeaderWatch, topic: str) -> None:
        self.consumer = consumer
        self.topic = topic
        self.guard = LogGuard(settings, consumer, watch)
        self.installation = ""
        self._noted: dict[TopicPartition, RecordMark] = {}  # what the last commits say

    async def fetch(self, partitions: Sequence[TopicPartition], most: int = FETCH_ROWS) -> Fetched:
        """At most `most` records, after up to READ_WAIT_MS. Raises KafkaError and LostEndError."""
        before = consumed_offsets(self.consumer)
        records = await self.consumer.getmany(*partitions, timeout_ms=READ_WAIT_MS, max_records=most)
        await self.guard.fetched(records)
        reached = consumed_offsets(self.consumer)
        last = {tp: reached[tp] - 1 for tp in partitions if tp in reached and reached[tp] != before.get(tp)}
        return Fetched(records, {tp: self.guard.marks[tp] for tp in records}, last)

    def go_back(self, positions: Iterable[Position]) -> None:
        """Read on from what is committed: what was read before and not stored is read again."""
        for position in positions:
            self.guard.goes_on(position)
            self._noted.pop(position.partition, None)
            if position.note.last is not None:
                self._noted[position.partition] = position.note.last
            self.seek(position.partition, position.committed)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Raises RevokedError when the partition is not this member's any more."""
        try:
            self.consumer.seek(tp, offset)
        except IllegalStateError as error:
            raise RevokedError from error

    async def commit(self, places: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Raises RevokedError when the group has moved on, and KafkaError."""
        try:
            await self.consumer.commit(dict(places))
        except (CommitFailedError, IllegalStateError) as error:
            raise RevokedError from error

    def note(self, reached: Mapping[TopicPartition, Reached]) -> None:
        """The next commits of these partitions come after these records."""
        self._noted |= {tp: at.mark for tp, at in reached.items() if at.mark is not None}

    def noted(self, tp: TopicPartition, offset: OffsetAndMetadata) -> OffsetAndMetadata:
        """The commit, with a note of the record that it was made after, and of the database that has it."""
        note = replace(decode_note(offset.metadata), last=self._noted.get(tp), clickhouse=self.installation)
        return OffsetAndMetadata(offset.offset, note.encode())

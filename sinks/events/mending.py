"""Store again what the tables have lost and Kafka still has, gap by gap, before anything new is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from axonstream.contract.record_validation import runs
from axonstream.settings.settings import Settings
from axonstream.sinks.events.event_store import EventStore
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.comparison import Comparison
from axonstream.sinks.offsets.gaps import Gap, split_at, without
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.read_record import ReadRecord
from axonstream.sinks.topic_reader import TopicReader

log = logging.getLogger(__name__)

WORTH_A_SEEK = 5000  # offsets; what lies nearer is read past sooner than it is sought


class Mending:
    """The gaps of one ownership. The ledgers of the store must know that anything below the commit may be stored.

    Of each partition:
    1. read each gap; records outside of gaps are dropped;
    2. before the first record is stored, commit its offset: reads that count on what is missing wait, or say that
       they are stale, and a sink that dies here goes on from there;
    3. store it; the ledger looks, so that nothing is stored twice;
    4. remember where the log has no record that is to be stored;
    5. commit again what was committed before.
    """

    def __init__(
        self,
        settings: Settings,
        reader: TopicReader,
        store: EventStore,
        ownership: Ownership,
        comparison: Comparison,
    ) -> None:
        self._max_records = settings.sink_max_rows
        self._max_bytes = settings.sink_max_bytes // 2
        self._reader = reader
        self._store = store
        self._ownership = ownership
        self._comparison = comparison

    async def mend(self, gaps: Mapping[int, Sequence[Gap]], positions: Sequence[Position]) -> int:
        """How many records were missing and are stored, or dead letters, now.

        Raises RevokedError when the ownership ends first, KafkaError and clickhouse_connect's errors.
        """
        stored = 0
        for position in positions:
            if of_partition := gaps.get(position.partition.partition):
                stored += await self._mend(position, list(of_partition))
        return stored

    async def _mend(self, position: Position, left: list[Gap]) -> int:
        tp, stored = position.partition, 0
        covered: list[Gap] = []
        batch = self._store.batch()
        reached = self._seek(tp, left[0].first)
        while left:
            records: Sequence[ReadRecord] = ()
            in_range = True
            # 1.
            try:
                fetched = await self._ownership.unless_revoked(self._reader.fetch([tp]))
                records, reached = fetched.records.get(tp, ()), fetched.last.get(tp, reached - 1) + 1
            except OffsetOutOfRangeError:
                in_range, before = False, reached
                reached = (await self._reader.consumer.beginning_offsets([tp]))[tp]
                if reached <= before:
                    raise  # the log has lost its end
                left = split_at(left, reached)[1]  # retention was faster
            done, left = split_at(left, reached)
            covered += done
            for run in runs(_within(records, done)):
                batch.add(run)
            if not left or batch.records >= self._max_records or batch.size >= self._max_bytes:
                offsets = sorted([row.record.offset for row in batch.rows] + [one.offset for one in batch.refused])
                if offsets:
                    if not stored:
                        # 2.
                        await self._take_back(tp, offsets[0])
                    # 3.
                    await self._store.store(batch)
                    stored += len(offsets)
                # 4.
                await self._comparison.keep_absent(tp.partition, without(covered, offsets))
                covered, batch = [], self._store.batch()
            if left and (left[0].first > reached + WORTH_A_SEEK or not in_range):
                reached = self._seek(tp, left[0].first)
        if stored:
            log.warning("%s partition %s: %s records that ClickHouse had lost are stored again", *tp, stored)
            # 5.
            await self._commit(tp, position.committed, position.metadata)
        self._seek(tp, position.committed)
        return stored

    async def _take_back(self, tp: TopicPartition, first: int) -> None:
        log.warning("%s partition %s: ClickHouse lacks records from %s on: storing them again", *tp, first)
        await self._commit(tp, first, "")

    def _seek(self, tp: TopicPartition, offset: int) -> int:
        self._reader.seek(tp, offset)
        return offset

    async def _commit(self, tp: TopicPartition, offset: int, metadata: str) -> None:
        self._ownership.check()
        await self._reader.commit({tp: OffsetAndMetadata(offset, metadata)})


def _within(records: Sequence[ReadRecord], gaps: Sequence[Gap]) -> list[ReadRecord]:
    """The records, which ascend, whose offsets are in one of the gaps, which ascend, too."""
    found: list[ReadRecord] = []
    left: Callable[[], Gap | None] = iter([*gaps, None]).__next__
    gap = left()
    for record in records:
        while gap is not None and gap.last < record.offset:
            gap = left()
        if gap is None:
            break
        if gap.first <= record.offset:
            found.append(record)
    return found

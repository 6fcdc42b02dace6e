"""Fetch, store, commit: the loop of one topic. Events and summaries have one each, so neither waits for the other.

A flush starts at once after a quiet time. While it runs, and until the pace allows the next, the next batch is fetched
and judged, up to the size of one INSERT. What lies read in the consumer's buffers would keep aiokafka from fetching
anything, for the other topic, too.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from axonstream.producers.leader_watch import LeaderWatch
from axonstream.producers.loop_share import LoopShare
from axonstream.producers.record_identity import RecordMark, decode_note
from axonstream.producers.settings import Settings
from axonstream.producers.verdict import runs
from axonstream.sinks.assignment import Assignment
from axonstream.sinks.errors import LostEndError, RevokedError
from axonstream.sinks.log_guard import LogGuard
from axonstream.sinks.pace import Pace
from axonstream.sinks.positions import Position
from axonstream.sinks.retry import FIRST_S, Backoff
from axonstream.sinks.table_writer import CLICKHOUSE_ERRORS
from axonstream.sinks.tenure import Tenure
from axonstream.stream_processors.consumed_offsets import consumed_offsets

log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """Records by partition, and by partition the last offset that was read, where any was."""

    records: Mapping[TopicPartition, Sequence[Any]]
    last: Mapping[TopicPartition, int]


class Reached(NamedTuple):
    """How far a partition was read: the last offset, markers included, and the mark of the last record, if any."""

    offset: int
    mark: RecordMark | None


READ_WAIT_MS = 1000
FETCH_ROWS = 2000  # of one fetch: the body of the INSERT under way has to be sent, too
REST_S = 0.01  # between two fetches of little while a flush must wait: each costs Kafka and the sink half a ms


class Batch(Protocol):
    """What was read of one topic, ready to be stored."""

    records: int
    size: int

    def add(self, records: Sequence[Any]) -> None: ...


class Store(Protocol):
    """Where the records of one topic go during one tenure."""

    def batch(self) -> Any:
        """An empty Batch for `store`."""
        ...

    async def store(self, batch: Any) -> None:
        """Returns when each record is stored or dead-lettered; raises RevokedError when the tenure ends first."""
        ...

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        """What to commit, now that everything up to the offset `last` is stored."""
        ...


class TopicFlow(ABC):
    """One topic of one consumer, from tenure to tenure.

    `on_begun` is called each time the partitions of a tenure are ready to be read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        consumer: AIOKafkaConsumer,
        watch: LeaderWatch,
        topic: str,
        on_begun: Callable[[], None],
    ) -> None:
        self.consumer = consumer
        self.guard = LogGuard(settings, consumer, watch)
        self.installation = ""  # of the database, once it is known
        self.topic = topic
        self._max_records = settings.sink_max_rows
        self._max_bytes = settings.sink_max_bytes // 2  # one batch is stored while the next is gathered
        self._pace = Pace(settings.sink_flush_ms / 1000)
        self._on_begun = on_begun
        self._fetching: asyncio.Task[Fetched] | None = None
        self._noted: dict[TopicPartition, RecordMark] = {}  # what the last commits say

    @abstractmethod
    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> Store:
        """Find out what of these partitions is stored already. May be repeated, and cancelled."""

    @abstractmethod
    async def mend(self, tenure: Tenure, store: Any) -> None:
        """Store again what the table has lost, after `begin` and before anything new. May be repeated.

        Raises RevokedError when the tenure ends first, KafkaError and clickhouse_connect's errors.
        """

    async def run(self, assignment: Assignment) -> None:
        """Runs until it is cancelled. Raises EpochError when a person must decide how."""
        while True:
            tenure = await assignment.tenure()
            try:
                async with tenure.working():
                    await self._guarded(tenure, await self._begin(tenure))
            except RevokedError:
                log.info("%s: partitions revoked", self.topic)
                await asyncio.sleep(0 if tenure.is_over else FIRST_S)  # the group has moved on, and has not said so yet
            except (NoOffsetForPartitionError, OffsetOutOfRangeError, LostEndError) as error:
                log.warning(
                    "%s: not read on from here, beginning again: %r", self.topic, error
                )  # `begin` finds out why
                await asyncio.sleep(FIRST_S)
                await assignment.again(tenure)  # the other flow as well: what is lost concerns both

    async def _guarded(self, tenure: Tenure, store: Store) -> None:
        """Work, until the tenure ends or the log turns out to be another one than what was read of it."""
        work = asyncio.ensure_future(self._work(tenure, store))
        watch = asyncio.ensure_future(self.guard.watch())
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            (work if work.done() else watch).result()
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.wait([work, watch])

    async def _begin(self, tenure: Tenure) -> Store:
        backoff = Backoff()
        while True:
            tenure.check()
            try:
                store = await tenure.unless_revoked(self.begin(tenure, tenure.of(self.topic)))
                self._on_begun()  # mending may take hours: reads are told that they are stale meanwhile
                await self.mend(tenure, store)
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                raise
            except (KafkaError, *CLICKHOUSE_ERRORS) as error:
                log.warning("%s: cannot begin yet, trying again: %r", self.topic, error)
            else:
                return store
            await tenure.pause(backoff.next_s())

    def go_back(self, positions: Iterable[Position]) -> None:
        """Read on from what is committed: what an earlier `_work` has read and not stored is read again."""
        try:
            for position in positions:
                self.guard.goes_on(position)
                self._noted.pop(position.partition, None)
                if position.note.last is not None:
                    self._noted[position.partition] = position.note.last
                self.consumer.seek(position.partition, position.committed)
        except IllegalStateError as error:
            raise RevokedError from error

    async def _work(self, tenure: Tenure, store: Store) -> None:
        """Until the tenure ends, one batch after the other:

        1. gather it, while the one before is on its way;
        2. once that is committed, store it: each record is a row that ClickHouse has acknowledged, or a dead letter;
        3. commit how far each partition was read: past its last record, and past the transaction markers behind it,
           which no fetch returns. Markers alone are read past and committed, too.
        """
        partitions = tenure.of(self.topic)
        flush: asyncio.Task[None] | None = None
        try:
            while True:
                gathered = await tenure.unless_revoked(self._gather(partitions, store.batch(), flush))
                flush = asyncio.create_task(self._flush(store, *gathered))
        except RevokedError:
            if flush is not None:
                await flush  # it knows of the revocation, too: finished, or given up where it may be
            raise
        finally:
            left = [task for task in (self._fetching, flush) if task is not None]
            self._fetching = None
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    async def _gather(
        self, partitions: Sequence[TopicPartition], batch: Batch, flush: asyncio.Task[None] | None
    ) -> tuple[Batch, dict[TopicPartition, Reached]]:
        """The next batch and the last offsets in it, once `flush` is done and the pace allows. Raises what it raises.

        May be cancelled: then what it has read is dropped.
        """
        last: dict[TopicPartition, Reached] = {}
        while True:
            if flush is not None and flush.done():
                flush.result()
                flush = None
            full = batch.records >= self._max_records or batch.size >= self._max_bytes
            wait_s = 0.0 if full else self._pace.wait_s(monotonic())
            if last and flush is None and not wait_s:
                return batch, last
            rest_s = wait_s if last and flush is None else None
            if full or not partitions:
                await _first_of([flush], rest_s)
                continue
            if self._fetching is None:
                most = min(FETCH_ROWS, self._max_records - batch.records)
                self._fetching = asyncio.create_task(self._fetch(partitions, most))
            await _first_of([self._fetching, flush], rest_s)
            if self._fetching.done():
                fetched = self._fetching.result()
                self._fetching = None
                await _judge(fetched.records.values(), batch)
                for tp, offset in fetched.last.items():
                    before = last[tp].mark if tp in last else None
                    last[tp] = Reached(offset, self.guard.marks.get(tp) if tp in fetched.records else before)
                if sum(map(len, fetched.records.values())) < FETCH_ROWS // 10 and (flush is not None or wait_s):
                    await _first_of([flush], REST_S if rest_s is None else min(REST_S, rest_s))

    async def _flush(self, store: Store, batch: Batch, last: dict[TopicPartition, Reached]) -> None:
        started = monotonic()
        await store.store(batch)
        self._noted |= {tp: reached.mark for tp, reached in last.items() if reached.mark is not None}
        offsets = {tp: self.noted(tp, store.committable(tp, reached.offset)) for tp, reached in last.items()}
        try:
            await self.consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("%s: not committed, the group has moved on: %s", self.topic, error)
            raise RevokedError from error
        self.guard.committed({tp: offset.offset for tp, offset in offsets.items()})
        self._pace.flushed(started, monotonic())

    def noted(self, tp: TopicPartition, offset: OffsetAndMetadata) -> OffsetAndMetadata:
        """The commit, with a note of the record that it was made after, and of the database that has it."""
        note = replace(decode_note(offset.metadata), last=self._noted.get(tp), clickhouse=self.installation)
        return OffsetAndMetadata(offset.offset, note.encode())

    async def _fetch(self, partitions: Sequence[TopicPartition], most: int) -> Fetched:
        before = consumed_offsets(self.consumer)
        records = await self.consumer.getmany(*partitions, timeout_ms=READ_WAIT_MS, max_records=most)
        await self.guard.fetched(records)
        reached = consumed_offsets(self.consumer)
        last = {tp: reached[tp] - 1 for tp in partitions if tp in reached and reached[tp] != before.get(tp)}
        return Fetched(records, last)


async def _judge(fetched: Iterable[Sequence[Any]], batch: Batch) -> None:
    """Add to the batch what was fetched. However dear the records are, heartbeats are sent in between."""
    share = LoopShare()
    for records in fetched:
        for run in runs(records):
            batch.add(run)
            if share.is_over():
                await share.give_way()


async def _first_of(tasks: Iterable[asyncio.Task[Any] | None], timeout_s: float | None) -> None:
    """Returns when one of them is done, or the time is over; cancels none of them."""
    waited = [task for task in tasks if task is not None]
    if waited:
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(READ_WAIT_MS / 1000 if timeout_s is None else timeout_s)

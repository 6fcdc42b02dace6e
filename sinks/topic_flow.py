"""Fetch, store, commit: the loop of one topic. Events and summaries have one each, so neither waits for the other.

The life of a partition in the sink, from the assignment to the revocation:

    assigned              the group gives it to this member: a new ownership (assignment.py)
       |
       v
    opening  <---------+  `begin`: what is stored of it? Then `mend`: what of it is lost?
       |               |  (event_flow.py, summary_flow.py)
       v               |
    gathering <------+ |  records are read and judged while the batch before is stored (gathering.py)
       |             | |
       | due         | +- the group has refused a commit: this flow opens again; the log has lost its end: both flows do
       v             |
    storing          |    each record becomes a row that ClickHouse has acknowledged, or a dead letter (event_store.py)
       |             |
       v             |
    committed -------+    how far it is read is written down in the offsets of the group

    revoked               from any of these: the ownership is over. What is read is dropped. What is being stored is
                          stored and committed, or given up where no INSERT may start any more (ownership.py). The
                          member joins the rebalance only then, so the next owner finds nothing under way.

A flush starts at once after a quiet time. While it runs, and until the pace allows the next, the next batch is fetched
and judged, up to the size of one INSERT. What lies read in the consumer's buffers would keep aiokafka from fetching
anything, for the other topic, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Generic, Protocol

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from axonstream.settings.settings import Settings
from axonstream.sinks.errors import LostEndError, RevokedError
from axonstream.sinks.gathering import BatchT, Gathering, Stage
from axonstream.sinks.membership.assignment import Assignment
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.retry import FIRST_S, Backoff
from axonstream.sinks.topic_reader import FETCH_ROWS, Fetched, Reached, TopicReader
from axonstream.sinks.writing.pace import Pace
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

log = logging.getLogger(__name__)


class Store(Protocol[BatchT]):
    """Where the records of one topic go during one ownership."""

    def batch(self) -> BatchT:
        """An empty batch for `store`."""
        ...

    async def store(self, batch: BatchT) -> None:
        """Returns when each record is stored or dead-lettered; raises RevokedError when the ownership ends first."""
        ...

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        """What to commit, now that everything up to the offset `last` is stored."""
        ...


class Mend(Protocol):
    async def __call__(self) -> None:
        """Store again what the table has lost, before anything new. May be repeated.

        Raises RevokedError when the ownership ends first, KafkaError and clickhouse_connect's errors.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opened(Generic[BatchT]):
    """What is known of the partitions of an ownership before anything is read: where to store, and how to mend."""

    store: Store[BatchT]
    mend: Mend


class Begin(Protocol[BatchT]):
    async def __call__(self, ownership: Ownership, partitions: Sequence[TopicPartition]) -> Opened[BatchT]:
        """Find out what of these partitions is stored already, and let the reader read on from there.

        May be repeated, and cancelled. Raises EpochError when a person must decide, KafkaError and
        clickhouse_connect's errors.
        """
        ...


class TopicFlow(Generic[BatchT]):
    """One topic of one consumer, from one ownership to the next.

    `on_begun` is called each time the partitions of an ownership are ready to be read.
    """

    def __init__(
        self, settings: Settings, reader: TopicReader, begin: Begin[BatchT], on_begun: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._topic = reader.topic
        self._begin = begin
        self._on_begun = on_begun
        self._max_records = settings.sink_max_rows
        self._max_bytes = settings.sink_max_bytes // 2  # one batch is stored while the next is gathered
        self._pace = Pace(settings.sink_flush_ms / 1000)
        self._fetching: asyncio.Task[Fetched] | None = None

    async def run(self, assignment: Assignment) -> None:
        """Runs until it is cancelled. Raises EpochError when a person must decide how."""
        while True:
            ownership = await assignment.ownership()
            try:
                async with ownership.working():
                    await self._guarded(ownership, await self._open(ownership))
            except RevokedError:
                log.info("%s: partitions revoked", self._topic)
                await asyncio.sleep(0 if ownership.is_over else FIRST_S)  # the group has moved on already
            except (NoOffsetForPartitionError, OffsetOutOfRangeError, LostEndError) as error:
                log.warning("%s: not read on from here, beginning again: %r", self._topic, error)  # `begin` says why
                await asyncio.sleep(FIRST_S)
                await assignment.again(ownership)  # the other flow as well: what is lost concerns both

    async def _open(self, ownership: Ownership) -> Store[BatchT]:
        backoff = Backoff()
        while True:
            ownership.check()
            try:
                opened = await ownership.unless_revoked(self._begin(ownership, ownership.of(self._topic)))
                self._on_begun()  # mending may take hours: reads are told that they are stale meanwhile
                await opened.mend()
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                raise
            except (KafkaError, *CLICKHOUSE_ERRORS) as error:
                log.warning("%s: cannot begin yet, trying again: %r", self._topic, error)
            else:
                return opened.store
            await ownership.pause(backoff.next_s())

    async def _guarded(self, ownership: Ownership, store: Store[BatchT]) -> None:
        """Work, until the ownership ends or the log turns out to be another one than what was read of it."""
        work = asyncio.ensure_future(self._work(ownership, store))
        watch = asyncio.ensure_future(self._reader.guard.watch())
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            (work if work.done() else watch).result()
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.wait([work, watch])

    async def _work(self, ownership: Ownership, store: Store[BatchT]) -> None:
        """Until the ownership ends, one batch after the other:

        1. gather it, while the one before is on its way;
        2. once that is committed, store it: each record is a row that ClickHouse has acknowledged, or a dead letter;
        3. commit how far each partition was read: past its last record, and past the transaction markers behind it,
           which no fetch returns. Markers alone are read past and committed, too.
        """
        partitions = ownership.of(self._topic)
        flush: asyncio.Task[None] | None = None
        try:
            while True:
                # 1.
                gathered = await ownership.unless_revoked(self._gather(partitions, store.batch(), flush))
                # 2. and 3.
                flush = asyncio.create_task(self._flush(store, gathered.batch, gathered.reached))
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
        self, partitions: Sequence[TopicPartition], batch: BatchT, flush: asyncio.Task[None] | None
    ) -> Gathering[BatchT]:
        """The next batch, once it is due: `flush` is done and the pace allows. Raises what `flush` raises.

        May be cancelled: then what it has read is dropped.
        """
        gathering = Gathering(batch, flush, self._pace, most_records=self._max_records, most_bytes=self._max_bytes)
        while (stage := gathering.look()) is not Stage.DUE:
            if self._fetching is None and stage is not Stage.FULL and partitions:
                most = min(FETCH_ROWS, gathering.room)
                self._fetching = asyncio.create_task(self._reader.fetch(partitions, most))
            await gathering.change(self._fetching)
            if self._fetching is not None and self._fetching.done():
                fetched, self._fetching = self._fetching.result(), None
                await gathering.add(fetched)
        return gathering

    async def _flush(self, store: Store[BatchT], batch: BatchT, last: Mapping[TopicPartition, Reached]) -> None:
        started = monotonic()
        # 2.
        await store.store(batch)
        # 3.
        self._reader.note(last)
        places = {tp: store.committable(tp, reached.offset) for tp, reached in last.items()}
        offsets = {tp: self._reader.noted(tp, place) for tp, place in places.items()}
        try:
            await self._reader.commit(offsets)
        except RevokedError as error:
            log.warning("%s: not committed, the group has moved on: %s", self._topic, error.__cause__)
            raise
        self._reader.guard.committed({tp: offset.offset for tp, offset in offsets.items()})
        self._pace.flushed(started, monotonic())

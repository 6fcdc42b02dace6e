"""Store the events of a batch exactly once: the ledger, the writer and the dead letters put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import OffsetAndMetadata, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.event_fields import FIELDS
from axonstream.producers.settings import Settings
from axonstream.sinks.dead_letter import DeadLetter
from axonstream.sinks.dead_letters import DeadLetters
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.errors import OutcomeUnknownError, OutOfTimeError, RowRefusedError
from axonstream.sinks.event_batch import EventBatch, EventRow
from axonstream.sinks.event_line import with_deadline
from axonstream.sinks.insert_size import InsertSize
from axonstream.sinks.offset_ledger import OffsetLedger, missing
from axonstream.sinks.refusals import Refusals
from axonstream.sinks.retry import Backoff
from axonstream.sinks.server_clock import ServerClock, read_server_clock
from axonstream.sinks.table_writer import CLICKHOUSE_ERRORS, TableWriter
from axonstream.sinks.tenure import Tenure
from axonstream.stream_processors.boot_clock import boot_clock

log = logging.getLogger(__name__)
T = TypeVar("T")

TABLE = "events_log"
COLUMNS = ", ".join(["v", *(field.name for field in FIELDS), "_topic_epoch", "_partition", "_offset", "_insert_by"])


class EventStore:
    """The events of one tenure. `store` returns when each record is a row, or a dead letter."""

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        writer: TableWriter,
        dead_letters: DeadLetters,
        tenure: Tenure,
        epoch: int,
        ledgers: dict[int, OffsetLedger],
        late: LateEvents | None = None,
    ) -> None:
        self._max_rows, self._max_bytes = settings.sink_max_rows, settings.sink_max_bytes
        self._insert_timeout_s = settings.insert_timeout_ms / 1000
        self._size = InsertSize(settings.sink_max_rows, self._insert_timeout_s)
        self._refusals = Refusals(settings.max_refused_in_a_row)
        self._server_clock: ServerClock | None = None
        self._client = client
        self._writer = writer
        self._dead_letters = dead_letters
        self._tenure = tenure
        self._epoch = epoch
        self._ledgers = ledgers
        self._late = LateEvents() if late is None else late

    def batch(self) -> EventBatch:
        return EventBatch(self._epoch, self._late)

    async def store(self, batch: EventBatch) -> None:
        """Raises RevokedError when the tenure ends first: then any part of the batch may be stored."""
        await self._dead_letters.put(batch.refused, self._epoch, self._tenure)
        self._late.tell()
        whole = len(batch.rows) <= self._max_rows and batch.size <= self._max_bytes
        for some in [batch.rows] if whole else self._slices(batch.rows):
            await self._insert_once(some)

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        ledger = self._ledgers[partition.partition]
        ledger.settled(last)
        return OffsetAndMetadata(ledger.committed, "")

    def _slices(self, rows: Sequence[EventRow]) -> Iterator[Sequence[EventRow]]:
        start = size = 0
        for at, row in enumerate(rows):
            if at > start and (at - start >= self._max_rows or size + len(row.line) > self._max_bytes):
                yield rows[start:at]
                start, size = at, 0
            size += len(row.line)
        if rows:
            yield rows[start:]

    async def _insert_once(self, rows: Sequence[EventRow]) -> None:
        """Insert what is not stored yet, as many rows at a time as ClickHouse takes within the timeout.

        Raises TableRefusesError when it takes none.
        """
        backoff = Backoff()
        left: list[Sequence[EventRow]] = [rows]  # the next is last
        while left:
            rows = left.pop()
            some, later = rows[: self._size.rows], rows[self._size.rows :]
            if later:
                left.append(later)
            undone = await self._attempt(some)
            if undone is None:
                left.append(some)
                await self._tenure.pause(backoff.next_s())
            else:
                left = self._refusals.next_tries([*left, *reversed(undone)])
                backoff = Backoff()
        await self._dead_letters.put(self._refusals.to_put(), self._epoch, self._tenure)

    async def _attempt(self, rows: Sequence[EventRow]) -> Sequence[Sequence[EventRow]] | None:
        """The rows that are neither stored nor dead-lettered yet, to be inserted apart from each other.

        None when that is not known: the next attempt must look first. The server refuses an INSERT that reaches it
        later than this process would wait for it, or than its lease: what a look does not find does not come later.
        """
        partitions = {row.record.partition for row in rows}
        absent = rows
        await self._tenure.may_insert()
        try:
            absent = await self._absent(rows)
            clock = self._server_clock = self._server_clock or await read_server_clock(self._client)
            await self._tenure.may_insert()
            for partition, last in {row.record.partition: row.record.offset for row in absent}.items():
                self._ledgers[partition].attempting(last)
            if absent:
                started = boot_clock()
                lines = [row.line for row in absent]
                insert_by = min(self._tenure.insert_by, started + self._insert_timeout_s)
                lines[-1] = with_deadline(lines[-1], clock.earliest_ms(insert_by))
                await self._writer.insert(TABLE, COLUMNS, lines, partitions)
                self._size.went_through(len(absent), boot_clock() - started)
                self._refusals.taken()
        except RowRefusedError as error:
            return await self._refused(absent, error)
        except (OutcomeUnknownError, *CLICKHOUSE_ERRORS) as error:
            log.warning("%s events are not acknowledged, looking before trying again: %s", len(absent), error)
            if isinstance(error, OutOfTimeError):
                self._size.out_of_time(len(absent))
            self._server_clock = None  # a server that was restarted may have another
            await self._until_answered(partial(self._writer.kill, TABLE, partitions))
            return None
        return ()

    async def _refused(self, rows: Sequence[EventRow], error: RowRefusedError) -> Sequence[Sequence[EventRow]]:
        """Set aside the row that ClickHouse names, or halve the batch until it is found; the others are still to do.

        A row that is stored all the same is no dead letter: a materialized view refused it, after the table took it.
        """
        if len(rows) == 1:
            if await self._until_answered(partial(self._absent, rows)):
                self._refusals.refused(DeadLetter.of(rows[0].record, error.reason))
            return ()
        if error.row is not None and 1 <= error.row <= len(rows):
            named = rows[error.row - 1 : error.row]  # alone it is refused again, or stored
            return [named, [*rows[: error.row - 1], *rows[error.row :]]]
        middle = len(rows) // 2
        return [rows[:middle], rows[middle:]]

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Go on only when ClickHouse says what is stored, and that nothing of an earlier attempt can become rows."""
        backoff = Backoff()
        while True:
            try:
                return await ask()
            except CLICKHOUSE_ERRORS as error:
                log.warning("ClickHouse does not answer: %r", error)
            await self._tenure.pause(backoff.next_s())

    async def _absent(self, rows: Sequence[EventRow]) -> Sequence[EventRow]:
        firsts = {row.record.partition: row.record.offset for row in reversed(rows)}
        doubtful: dict[int, list[int]] = {p: [] for p, first in firsts.items() if self._ledgers[p].must_look(first)}
        if not doubtful:
            return rows
        for row in rows:
            if row.record.partition in doubtful:
                doubtful[row.record.partition].append(row.record.offset)
        present = await asyncio.gather(*(self._present(p, offsets) for p, offsets in doubtful.items()))
        wanted = {
            partition: set(missing(offsets, stored))
            for (partition, offsets), stored in zip(doubtful.items(), present, strict=True)
        }
        return [r for r in rows if r.record.partition not in wanted or r.record.offset in wanted[r.record.partition]]

    async def _present(self, partition: int, offsets: Sequence[int]) -> set[int]:
        found = await self._client.query(
            "SELECT DISTINCT _offset FROM events_log WHERE _topic_epoch = {epoch:UInt32} "
            "AND _partition = {partition:UInt32} AND _offset BETWEEN {first:Int64} AND {last:Int64}",
            parameters={"epoch": self._epoch, "partition": partition, "first": offsets[0], "last": offsets[-1]},
        )
        return {row[0] for row in found.result_rows}

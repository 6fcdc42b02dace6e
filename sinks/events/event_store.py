"""Store the events of a batch exactly once: the ledger, the writer and the dead letters put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aiokafka import OffsetAndMetadata, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.slices import slices
from axonstream.event_fields import FIELDS
from axonstream.process.boot_clock import boot_clock
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.errors import OutcomeUnknownError, OutOfTimeError, RowRefusedError
from axonstream.sinks.events.event_batch import EventBatch, EventRow
from axonstream.sinks.events.event_line import with_deadline
from axonstream.sinks.events.refusals import Refusals
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.offset_ledger import OffsetLedger, missing
from axonstream.sinks.retry import Backoff
from axonstream.sinks.writing.insert_size import InsertSize
from axonstream.sinks.writing.server_clock import ServerClock, read_server_clock
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS, TableWriter

log = logging.getLogger(__name__)
T = TypeVar("T")

TABLE = "events_log"
COLUMNS = ", ".join(["v", *(field.name for field in FIELDS), "_topic_epoch", "_partition", "_offset", "_insert_by"])


@dataclass(frozen=True, slots=True)
class Stored:
    """Each row of the attempt is a row of the table, or a dead letter that is held back (see refusals.py)."""


@dataclass(frozen=True, slots=True)
class Split:
    """ClickHouse refuses the data. Nothing is stored; these are to be inserted apart from each other, in this order."""

    parts: Sequence[Sequence[EventRow]]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Any row may be stored, and none of them will be later: the next attempt must look first."""


Attempted = Stored | Split | Unknown


class EventStore:
    """The events of one ownership. `store` returns when each record is a row, or a dead letter."""

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        writer: TableWriter,
        dead_letters: DeadLetters,
        ownership: Ownership,
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
        self._ownership = ownership
        self._epoch = epoch
        self._ledgers = ledgers
        self._late = LateEvents() if late is None else late

    def batch(self) -> EventBatch:
        return EventBatch(self._epoch, self._late)

    async def store(self, batch: EventBatch) -> None:
        """Raises RevokedError when the ownership ends first: then any part of the batch may be stored."""
        await self._dead_letters.put(batch.refused, self._epoch, self._ownership)
        self._late.tell()
        whole = len(batch.rows) <= self._max_rows and batch.size <= self._max_bytes
        sizes = (len(row.line) for row in batch.rows)
        for some in [batch.rows] if whole else slices(batch.rows, sizes, self._max_rows, self._max_bytes):
            await self._insert_once(some)

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        ledger = self._ledgers[partition.partition]
        ledger.settled(last)
        return OffsetAndMetadata(ledger.committed, "")

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
            match await self._attempt(some):
                case Unknown():
                    left.append(some)
                    await self._ownership.pause(backoff.next_s())
                case Split(parts):
                    left = self._refusals.next_tries([*left, *reversed(parts)])
                    backoff = Backoff()
                case Stored():
                    left = self._refusals.next_tries(left)
                    backoff = Backoff()
        await self._dead_letters.put(self._refusals.to_put(), self._epoch, self._ownership)

    async def _attempt(self, rows: Sequence[EventRow]) -> Attempted:
        """Insert those of the rows that are not stored yet, in one INSERT.

        The server refuses an INSERT that reaches it later than this process would wait for it, or than its lease: what
        a look does not find does not come later.
        """
        partitions = {row.record.partition for row in rows}
        absent = rows
        await self._ownership.may_insert()
        try:
            absent = await self._absent(rows)
            clock = self._server_clock = self._server_clock or await read_server_clock(self._client)
            await self._ownership.may_insert()
            for partition, last in {row.record.partition: row.record.offset for row in absent}.items():
                self._ledgers[partition].attempting(last)
            if absent:
                started = boot_clock()
                lines = [row.line for row in absent]
                insert_by = min(self._ownership.insert_by, started + self._insert_timeout_s)
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
            return Unknown()
        return Stored()

    async def _refused(self, rows: Sequence[EventRow], error: RowRefusedError) -> Stored | Split:
        """Set aside the row that ClickHouse names, or halve the batch until it is found; the others are still to do.

        A row that is stored all the same is no dead letter: a materialized view refused it, after the table took it.
        """
        if len(rows) == 1:
            if await self._until_answered(partial(self._absent, rows)):
                self._refusals.refused(DeadLetter.of(rows[0].record, error.reason))
            return Stored()
        if error.row is not None and 1 <= error.row <= len(rows):
            named = rows[error.row - 1 : error.row]  # alone it is refused again, or stored
            return Split([named, [*rows[: error.row - 1], *rows[error.row :]]])
        middle = len(rows) // 2
        return Split([rows[:middle], rows[middle:]])

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Go on only when ClickHouse says what is stored, and that nothing of an earlier attempt can become rows."""
        backoff = Backoff()
        while True:
            try:
                return await ask()
            except CLICKHOUSE_ERRORS as error:
                log.warning("ClickHouse does not answer: %r", error)
            await self._ownership.pause(backoff.next_s())

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

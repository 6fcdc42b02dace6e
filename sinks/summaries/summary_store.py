"""Store the steps and the summaries of a batch: what is stored again changes nothing, so there is no ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from aiokafka import OffsetAndMetadata, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.slices import slices
from axonstream.kafka.record_identity import CommitNote, RecordMark
from axonstream.kafka.topics import Topics
from axonstream.process.loop_share import LoopShare
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.deleting.rows_to_go import NONE, rows_to_go
from axonstream.sinks.errors import InsertError
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.retry import Backoff
from axonstream.sinks.summaries.made_summaries import fold_anew_from
from axonstream.sinks.summaries.summary_lines import COLUMNS, STEP_COLUMNS, HiddenSummaries, SummaryBatch
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS, TableWriter

log = logging.getLogger(__name__)

TABLE = "trace_summaries"
STEPS = "steps_log"


class SummaryStore:
    """The summaries of one ownership. `folded` is, by partition, the highest watermark whose summaries are stored, and
    `folded_at` the mark of the last event below it, where that is known.
    """

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        writer: TableWriter,
        dead_letters: DeadLetters,
        ownership: Ownership,
        epoch: int,
        folded: dict[int, int],
        folded_at: dict[int, RecordMark | None],
        hidden: HiddenSummaries | None = None,
    ) -> None:
        self._max_rows, self._max_bytes = settings.sink_max_rows, settings.sink_max_bytes
        self._topics = Topics(settings.topic_prefix)
        self._client = client
        self._writer = writer
        self._dead_letters = dead_letters
        self._ownership = ownership
        self._epoch = epoch
        self._folded = folded
        self._hidden = hidden
        self._folded_at = folded_at

    def batch(self) -> SummaryBatch:
        return SummaryBatch(hidden=self._hidden)

    async def store(self, batch: SummaryBatch) -> None:
        """Returns when all of it is stored or dead-lettered; only then are the watermarks of the batch taken over.

        Steps come first: whoever sees a summary sees the steps that it speaks of.
        """
        await self._dead_letters.put(batch.refused, self._epoch, self._ownership)
        for partition, start in batch.anew.items():
            await self._take_back(partition, start)
        await self._insert(STEPS, STEP_COLUMNS, batch.step_lines(self._epoch), {at[0] for at in batch.steps})
        await self._insert(TABLE, COLUMNS, batch.lines(self._epoch), {at[0] for at in batch.newest})
        for partition, folded in batch.folded.items():
            if partition in batch.anew or folded >= self._folded[partition]:
                self._folded[partition] = folded
                self._folded_at[partition] = batch.folded_at[partition]

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        number = partition.partition
        note = CommitNote(folded=self._folded[number], folded_at=self._folded_at.get(number))
        return OffsetAndMetadata(last + 1, note.encode())

    async def _take_back(self, partition: int, start: int) -> None:
        log.warning("partition %s is folded again from %s on: its summaries are taken back", partition, start)
        backoff = Backoff()
        while True:
            await self._ownership.may_insert()
            try:
                gone = (
                    NONE if self._hidden is None else await rows_to_go(self._client, self._topics, self._hidden.deleted)
                )
                return await fold_anew_from(self._client, self._epoch, partition, start, gone)
            except CLICKHOUSE_ERRORS as error:
                log.warning("summaries are not taken back yet, trying again: %r", error)
            await self._ownership.pause(backoff.next_s())

    async def _insert(self, table: str, columns: str, rows: Iterable[bytes], partitions: set[int]) -> None:
        lines: list[bytes] = []
        share = LoopShare()
        for line in rows:
            lines.append(line)
            if share.is_over():  # a hundred thousand take half a second
                await share.give_way()
        for some in slices(lines, map(len, lines), self._max_rows, self._max_bytes):
            await self._insert_some(table, columns, some, partitions)

    async def _insert_some(self, table: str, columns: str, lines: Sequence[bytes], partitions: set[int]) -> None:
        backoff = Backoff()
        while True:
            await self._ownership.may_insert()
            try:
                return await self._writer.insert(table, columns, lines, partitions)
            except InsertError as error:
                log.warning("rows of %s are not acknowledged, trying again: %s", table, error)
            await self._ownership.pause(backoff.next_s())

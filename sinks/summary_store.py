"""Store the summaries of a batch: a snapshot that is stored again changes nothing, so there is no ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from aiokafka import OffsetAndMetadata, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.producers.loop_share import LoopShare
from axonstream.producers.record_identity import CommitNote, RecordMark
from axonstream.producers.settings import Settings
from axonstream.producers.topics import Topics
from axonstream.sinks.dead_letters import DeadLetters
from axonstream.sinks.deleting.rows_to_go import NONE, rows_to_go
from axonstream.sinks.errors import InsertError
from axonstream.sinks.made_summaries import fold_anew_from
from axonstream.sinks.retry import Backoff
from axonstream.sinks.summary_lines import COLUMNS, HiddenSummaries, SummaryBatch
from axonstream.sinks.table_writer import CLICKHOUSE_ERRORS, TableWriter
from axonstream.sinks.tenure import Tenure

log = logging.getLogger(__name__)

TABLE = "trace_summaries"


class SummaryStore:
    """The summaries of one tenure. `folded` is, by partition, the highest watermark whose summaries are stored, and
    `folded_at` the mark of the last event below it, where that is known.
    """

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        writer: TableWriter,
        dead_letters: DeadLetters,
        tenure: Tenure,
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
        self._tenure = tenure
        self._epoch = epoch
        self._folded = folded
        self._hidden = hidden
        self._folded_at = folded_at

    def batch(self) -> SummaryBatch:
        return SummaryBatch(hidden=self._hidden)

    async def store(self, batch: SummaryBatch) -> None:
        """Returns when all of it is stored or dead-lettered; only then are the watermarks of the batch taken over."""
        await self._dead_letters.put(batch.refused, self._epoch, self._tenure)
        for partition, start in batch.anew.items():
            await self._take_back(partition, start)
        for lines in self._slices(await self._lines(batch)):
            await self._insert(lines, {partition for partition, _, _ in batch.newest})
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
            await self._tenure.may_insert()
            try:
                gone = (
                    NONE if self._hidden is None else await rows_to_go(self._client, self._topics, self._hidden.deleted)
                )
                return await fold_anew_from(self._client, self._epoch, partition, start, gone)
            except CLICKHOUSE_ERRORS as error:
                log.warning("summaries are not taken back yet, trying again: %r", error)
            await self._tenure.pause(backoff.next_s())

    async def _lines(self, batch: SummaryBatch) -> list[bytes]:
        lines: list[bytes] = []
        share = LoopShare()
        for line in batch.lines(self._epoch):
            lines.append(line)
            if share.is_over():  # a hundred thousand take half a second
                await share.give_way()
        return lines

    def _slices(self, lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        start = size = 0
        for at, line in enumerate(lines):
            if at > start and (at - start >= self._max_rows or size + len(line) > self._max_bytes):
                yield lines[start:at]
                start, size = at, 0
            size += len(line)
        if lines:
            yield lines[start:]

    async def _insert(self, lines: Sequence[bytes], partitions: set[int]) -> None:
        backoff = Backoff()
        while True:
            await self._tenure.may_insert()
            try:
                return await self._writer.insert(TABLE, COLUMNS, lines, partitions)
            except InsertError as error:
                log.warning("summaries are not acknowledged, trying again: %s", error)
            await self._tenure.pause(backoff.next_s())

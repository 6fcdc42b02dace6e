"""The flow of trace-summaries into its table; the watermark goes into the metadata of the committed offset.

One OffsetFetch of the sink's group so tells a reader both how far events are stored (the offset of agent-events) and
how far the summaries that are stored cover them (the metadata of trace-summaries).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.record_identity import CommitNote, RecordMark, standings
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.errors import RevokedError
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.positions.installation import check_installation, installation_id
from axonstream.sinks.positions.positions import Position, read_positions
from axonstream.sinks.repairing.log_times import summaries_since
from axonstream.sinks.summaries.summary_lines import HiddenSummaries
from axonstream.sinks.summaries.summary_store import SummaryStore
from axonstream.sinks.summaries.uncovered import first_uncovered
from axonstream.sinks.topic_flow import TopicFlow
from axonstream.sinks.writing.table_writer import TableWriter

log = logging.getLogger(__name__)


class SummaryFlow(TopicFlow):
    """Each snapshot at least once; the table keeps the newest."""

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        writer: TableWriter,
        dead_letters: DeadLetters,
        deletions: ControlDeletions,
        **flow: Any,
    ) -> None:
        super().__init__(settings, **flow)
        self._settings = settings
        self._client = client
        self._writer = writer
        self._dead_letters = dead_letters
        self._deletions = deletions
        self._epoch = 0
        self._positions: dict[int, Position] = {}
        self._folded: dict[int, int] = {}
        self._hidden: HiddenSummaries | None = None

    async def begin(self, ownership: Ownership, partitions: Sequence[TopicPartition]) -> SummaryStore:
        """A log that has lost its end is read again from before the newest summary that is stored: what it lost was
        stored, or its processor writes it again.

        Begins after the events: where their log has lost its end, summaries are taken back, and are read again here.
        """
        await ownership.unless_revoked(ownership.knows_events.wait())
        epoch = await current_epoch(self._settings, self._client)
        self.installation = await installation_id(self._client)
        positions = await read_positions(self.consumer, partitions)
        check_installation((position.note for position in positions), self.installation)
        lost = await self.guard.begin(positions)
        for at, position in enumerate(positions):
            if position.partition in lost:
                positions[at] = await self._after_lost_end(position)
            positions[at].check_deleted()
        self.go_back(positions)
        events = Topics(self._settings.topic_prefix).events
        [identity] = await topic_identities(self._settings, [events])
        self._hidden = HiddenSummaries(self._deletions.deleted, identity.topic_id)
        await self._deletions.loaded()
        self._positions = {position.partition.partition: position for position in positions}
        self._folded = {partition: position.note.folded or 0 for partition, position in self._positions.items()}
        folded_at = {partition: position.note.folded_at for partition, position in self._positions.items()}
        for partition in await self._of_lost_records(events, folded_at):
            self._folded[partition], folded_at[partition] = 0, None
        self._epoch = epoch
        return SummaryStore(
            self._settings,
            self._client,
            self._writer,
            self._dead_letters,
            ownership,
            epoch,
            self._folded,
            folded_at,
            self._hidden,
        )

    async def _of_lost_records(self, events: str, folded_at: Mapping[int, RecordMark | None]) -> list[int]:
        """The partitions whose watermark was made after a record that the log of events has no more: it is void, and a
        lower one, of a processor that has lost as much, counts.
        """
        marks = {TopicPartition(events, number): [mark] for number, mark in folded_at.items() if mark is not None}
        found = await standings(self._settings, marks)
        return [tp.partition for (tp, _), standing in found.items() if standing.lost_its_end]

    async def _after_lost_end(self, position: Position) -> Position:
        tp, note = position.partition, position.note
        start = await summaries_since(self._settings, tp.partition, max(0, (note.folded or 0) - 1))
        start = max(position.log_start, min(start, position.committed, position.log_end))
        log.error("%s partition %s: Kafka has lost the end of its log: it is read again from %s on", *tp, start)
        return replace(position, committed=start, metadata=replace(note, last=None).encode())

    async def mend(self, ownership: Ownership, store: SummaryStore) -> None:
        """Read again from before the first summary that the table lacks, once the events are all there.

        A snapshot that is stored again changes nothing. Until the watermarks behind it are read again, too, reads of
        the partition are stale: that is committed first.
        """
        del store  # it knows the watermarks
        await ownership.unless_revoked(ownership.has_all_events.wait())
        for partition, position in self._positions.items():
            lacks = await ownership.unless_revoked(
                first_uncovered(self._client, self._epoch, partition, self._folded[partition], self._hidden)
            )
            if lacks is None:
                continue
            where = f"{self.topic} partition {partition}"
            start = await ownership.unless_revoked(summaries_since(self._settings, partition, lacks))
            if start >= position.committed:
                log.error("%s: ClickHouse lacks summaries of events from %s on, and Kafka has none", where, lacks)
                continue
            log.warning("%s: ClickHouse lacks summaries of events from %s on: storing them again", where, lacks)
            self._folded[partition] = lacks
            note = CommitNote(folded=lacks, clickhouse=self.installation)
            await self._rewind(replace(position, committed=start, metadata=note.encode()))

    async def _rewind(self, position: Position) -> None:
        try:
            await self.consumer.commit({position.partition: OffsetAndMetadata(position.committed, position.metadata)})
        except (CommitFailedError, IllegalStateError) as error:
            raise RevokedError from error
        self.go_back([position])

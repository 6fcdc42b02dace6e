"""The flow of trace-summaries into its table; the watermark goes into the metadata of the committed offset.

One OffsetFetch of the sink's group so tells a reader both how far events are stored (the offset of agent-events) and
how far the summaries that are stored cover them (the metadata of trace-summaries).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from aiokafka import OffsetAndMetadata, TopicPartition

from axonstream.kafka.record_identity import CommitNote, RecordMark, standings
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.log_times import summaries_since
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.positions.installation import check_installation, installation_id
from axonstream.sinks.positions.positions import Position, read_positions
from axonstream.sinks.sink_parts import SinkParts
from axonstream.sinks.summaries.summary_lines import HiddenSummaries, SummaryBatch
from axonstream.sinks.summaries.summary_store import SummaryStore
from axonstream.sinks.summaries.uncovered import first_uncovered
from axonstream.sinks.topic_flow import Opened
from axonstream.sinks.topic_reader import TopicReader

log = logging.getLogger(__name__)


class SummaryFlow:
    """Each snapshot at least once; the table keeps the newest."""

    def __init__(self, parts: SinkParts, reader: TopicReader) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._client = parts.client
        self._deletions = parts.deletions
        self._reader = reader

    async def begin(self, ownership: Ownership, partitions: Sequence[TopicPartition]) -> Opened[SummaryBatch]:
        """A log that has lost its end is read again from before the newest summary that is stored: what it lost was
        stored, or its processor writes it again.

        Begins after the events: where their log has lost its end, summaries are taken back, and are read again here.
        """
        await ownership.unless_revoked(ownership.knows_events.wait())
        epoch = await current_epoch(self._settings, self._client)
        self._reader.installation = await installation_id(self._client)
        positions = await read_positions(self._reader.consumer, partitions)
        check_installation((position.note for position in positions), self._reader.installation)
        lost = await self._reader.guard.begin(positions)
        for at, position in enumerate(positions):
            if position.partition in lost:
                positions[at] = await self._after_lost_end(position)
            positions[at].check_deleted()
        self._reader.go_back(positions)
        events = Topics(self._settings.topic_prefix).events
        [identity] = await topic_identities(self._settings, [events])
        hidden = HiddenSummaries(self._deletions.deleted, identity.topic_id)
        await self._deletions.loaded()
        folded = {position.partition.partition: position.note.folded or 0 for position in positions}
        folded_at = {position.partition.partition: position.note.folded_at for position in positions}
        for partition in await self._of_lost_records(events, folded_at):
            folded[partition], folded_at[partition] = 0, None
        store = SummaryStore(
            self._settings,
            self._client,
            self._parts.writer,
            self._parts.dead_letters,
            ownership,
            epoch,
            folded,
            folded_at,
            hidden,
        )
        return Opened(store, partial(self._mend, ownership, epoch, positions, folded, hidden))

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

    async def _mend(
        self,
        ownership: Ownership,
        epoch: int,
        positions: Sequence[Position],
        folded: dict[int, int],
        hidden: HiddenSummaries,
    ) -> None:
        """Read again from before the first summary or step that the tables lack, once the events are all there.

        A snapshot that is stored again changes nothing. Until the watermarks behind it are read again, too, reads of
        the partition are stale: that is committed first. `folded` are the watermarks of the store.
        """
        await ownership.unless_revoked(ownership.has_all_events.wait())
        for position in positions:
            topic, partition = position.partition
            lacks = await ownership.unless_revoked(
                first_uncovered(self._client, epoch, partition, folded[partition], hidden)
            )
            if lacks is None:
                continue
            where = f"{topic} partition {partition}"
            start = await ownership.unless_revoked(summaries_since(self._settings, partition, lacks))
            if start >= position.committed:
                log.error("%s: ClickHouse lacks summaries or steps from event %s on, and Kafka has none", where, lacks)
                continue
            log.warning("%s: ClickHouse lacks summaries or steps from event %s on: storing them again", where, lacks)
            folded[partition] = lacks
            note = CommitNote(folded=lacks, clickhouse=self._reader.installation)
            await self._rewind(replace(position, committed=start, metadata=note.encode()))

    async def _rewind(self, position: Position) -> None:
        await self._reader.commit({position.partition: OffsetAndMetadata(position.committed, position.metadata)})
        self._reader.go_back([position])

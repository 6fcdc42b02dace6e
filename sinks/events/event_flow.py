"""The flow of agent-events into events_log, and what must be known of a partition before its first record is read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import time

from aiokafka import OffsetAndMetadata, TopicPartition

from axonstream.clickhouse.client import connect
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.errors import LostEndError
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.events.event_store import TABLE, EventStore
from axonstream.sinks.events.mending import Mending
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.comparison import SLOWEST_ANSWER_S, Comparison
from axonstream.sinks.offsets.gaps import Gap
from axonstream.sinks.offsets.offset_ledger import NOTHING_STORED, OffsetLedger
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.positions.installation import check_installation, installation_id
from axonstream.sinks.positions.positions import Position, read_positions
from axonstream.sinks.schema import check_schema
from axonstream.sinks.sink_parts import SinkParts
from axonstream.sinks.starting.common_part import common_end
from axonstream.sinks.starting.lost_ends import after_lost_end, summaries_again, unfinished
from axonstream.sinks.summaries.summary_store import STEPS
from axonstream.sinks.summaries.summary_store import TABLE as SUMMARIES
from axonstream.sinks.topic_flow import Opened
from axonstream.sinks.topic_reader import TopicReader

A_DAY_MS = 24 * 3600 * 1000
_NEVER = 1 << 62  # beyond every offset
_CEILING = """SELECT
  (SELECT if(count() = 0, -1, max(_offset)) FROM events_log WHERE _topic_epoch = {epoch:UInt32}
    AND _partition = {partition:UInt32} AND _offset >= {committed:Int64}),
  (SELECT if(count() = 0, -1, max(offset)) FROM dead_letters WHERE topic = {topic:String}
    AND _topic_epoch = {epoch:UInt32} AND partition = {partition:UInt32} AND offset >= {committed:Int64})"""


class EventFlow:
    """Each record exactly one row or one dead letter, whatever process dies when."""

    def __init__(self, parts: SinkParts, reader: TopicReader) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._client = parts.client
        self._writer = parts.writer
        self._deletions = parts.deletions
        self._reader = reader

    async def begin(self, ownership: Ownership, partitions: Sequence[TopicPartition]) -> Opened[EventBatch]:
        """Before anything is read:

        1. the schema is that of this version, and the topics are those of the newest epoch;
        2. nothing of an earlier owner is still being inserted;
        3. only then look: the committed offset, and the highest offset stored at or above it;
        4. it is known what is deleted: that is not stored again, and counted nowhere;
        5. the record before the committed offset is the one that was committed, and the highest one that is stored is
           the one in the log; where the log has lost its end, what only ClickHouse has is set apart, and what is read
           next is what the log has now in its place;
        6. the tables are compared with the log below the committed offset (`_mend` then fills what they lack);
        7. what is read next is what was committed. Only now summaries are begun: step 5 takes some back.
        """
        # 1.
        await check_schema(self._client)
        epoch = await current_epoch(self._settings, self._client)
        self._reader.installation = await installation_id(self._client)
        # 2.
        await self._writer.kill(TABLE, {tp.partition for tp in partitions})
        # 3. and 4.
        positions = await read_positions(self._reader.consumer, partitions)
        check_installation((position.note for position in positions), self._reader.installation)
        await self._deletions.loaded()
        ceilings = list(await asyncio.gather(*(self._ceiling(epoch, position) for position in positions)))
        # 5.
        reaching = zip(positions, ceilings, strict=True)
        lost = await self._reader.guard.begin(
            [replace(at, committed=max(at.committed, top + 1)) for at, top in reaching]
        )
        lost |= await unfinished(self._client, self._reader.topic, epoch)
        for at, ceiling in enumerate(ceilings):
            if positions[at].partition in lost or not await self._stands(epoch, positions[at], ceiling):
                positions[at] = await self._after_lost_end(ownership, epoch, positions[at], ceiling)
                ceilings[at] = NOTHING_STORED
            positions[at].check_deleted()
        [identity] = await topic_identities(self._settings, [self._reader.topic])
        late = LateEvents(self._deletions.deleted, identity.topic_id)
        # 6.
        gaps = await self._compare(epoch, positions)
        ledgers = {
            position.partition.partition: OffsetLedger(position.committed, max(ceiling, position.committed - 1))
            for position, ceiling in zip(positions, ceilings, strict=True)
        }
        # 7.
        self._reader.go_back(positions)
        ownership.knows_events.set()
        store = EventStore(
            self._settings, self._client, self._writer, self._parts.dead_letters, ownership, epoch, ledgers, late
        )
        return Opened(store, partial(self._mend, ownership, store, epoch, gaps, positions))

    async def _mend(
        self,
        ownership: Ownership,
        store: EventStore,
        epoch: int,
        gaps: Mapping[int, Sequence[Gap]],
        positions: Sequence[Position],
    ) -> None:
        if gaps:
            comparison = Comparison(self._client, self._reader.topic, epoch)
            await Mending(self._settings, self._reader, store, ownership, comparison).mend(gaps, positions)
        ownership.has_all_events.set()

    async def _stands(self, epoch: int, position: Position, ceiling: int) -> bool:
        """Whether the log has what is stored at and above the committed offset.

        A power cut may have taken the commit along with the records, and the log may be longer again by now.
        """
        if ceiling < position.committed:
            return True
        return ceiling < await common_end(self._settings, self._client, epoch, position.partition, ceiling + 1)

    async def _after_lost_end(self, ownership: Ownership, epoch: int, position: Position, ceiling: int) -> Position:
        if ownership.knows_events.is_set():
            raise LostEndError(f"{position.partition}: found after the summaries were begun")  # both begin anew

        async def rewind_summaries(since: int) -> None:
            for table in (STEPS, SUMMARIES):
                await self._writer.kill(table, {position.partition.partition})
            topic = Topics(self._settings.topic_prefix).summaries
            [place] = await read_positions(self._reader.consumer, [TopicPartition(topic, position.partition.partition)])
            await self._commit(ownership, place.partition, await summaries_again(self._settings, place, since))

        found = await after_lost_end(
            self._settings, epoch, position, ceiling + 1, rewind_summaries, self._deletions.deleted
        )
        await self._commit(ownership, found.partition, OffsetAndMetadata(found.committed, found.metadata))
        return found

    async def _commit(self, ownership: Ownership, partition: TopicPartition, place: OffsetAndMetadata) -> None:
        ownership.check()
        await self._reader.commit({partition: place})

    async def _compare(self, epoch: int, positions: Sequence[Position]) -> dict[int, list[Gap]]:
        """What the tables lack of what Kafka still has below the committed offsets.

        Where Kafka keeps records longer than ClickHouse keeps events, older ones may have expired, and are left alone.
        """
        starts = {position.partition: position.log_start for position in positions}
        days = self._settings.events_ttl_days
        if self._settings.topic_retention_hours > 24 * days and positions:
            since = int(time() * 1000) - days * A_DAY_MS
            young = await self._reader.consumer.offsets_for_times(dict.fromkeys(starts, since))
            starts = {tp: max(start, young[tp].offset) if young[tp] else _NEVER for tp, start in starts.items()}
        patient = await connect(self._settings, SLOWEST_ANSWER_S)
        try:
            bounds = {at.partition.partition: (starts[at.partition], at.committed) for at in positions}
            return await Comparison(patient, self._reader.topic, epoch).gaps(bounds)
        finally:
            await patient.close()

    async def _ceiling(self, epoch: int, position: Position) -> int:
        topic, partition = position.partition
        places = {"topic": topic, "epoch": epoch, "partition": partition, "committed": position.committed}
        ((rows, letters),) = (await self._client.query(_CEILING, parameters=places)).result_rows
        return max(rows, letters)

"""The flow of agent-events into events_log, and what must be known of a partition before its first record is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time
from typing import Any

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from sinks.clickhouse import connect
from sinks.comparison import SLOWEST_ANSWER_S, Comparison
from sinks.dead_letters import DeadLetters
from sinks.deleting.control_deletions import ControlDeletions
from sinks.deleting.late_events import LateEvents
from sinks.epochs import current_epoch
from sinks.errors import RevokedError
from sinks.event_store import TABLE, EventStore
from sinks.gaps import Gap
from sinks.installation import check_installation, installation_id
from sinks.lost_ends import after_lost_end
from sinks.mending import Mending
from sinks.offset_ledger import NOTHING_STORED, OffsetLedger
from sinks.positions import Position, read_positions
from sinks.table_writer import TableWriter
from sinks.tenure import Tenure
from sinks.topic_flow import FETCH_ROWS, TopicFlow
from sinks.topic_identity import topic_identities

A_DAY_MS = 24 * 3600 * 1000
_NEVER = 1 << 62  # beyond every offset


class EventFlow(TopicFlow):
    """Each record exactly one row or one dead letter, whatever process dies when."""

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
        self._positions: Sequence[Position] = ()
        self._gaps: dict[int, list[Gap]] = {}

    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> EventStore:
        """Before anything is read:

        1. the topics are those of the newest epoch;
        2. nothing of an earlier owner is still being inserted;
        3. only then look: the committed offset, and the highest offset stored at or above it;
        4. it is known what is deleted: that is not stored again, and counted nowhere;
        5. the record before the committed offset is the one that was committed; where the log has lost its end, what
           only ClickHouse has is set apart, and what is read next is what the log has now in its place;
        6. the tables are compared with the log below the committed offset (`mend` then fills what they lack);
        7. what is read next is what was committed.
        """
        epoch = await current_epoch(self._settings, self._client)
        self.installation = await installation_id(self._client)
        await self._writer.kill(TABLE, {tp.partition for tp in partitions})
        positions = await read_positions(self.consumer, partitions)
        check_installation((position.note for position in positions), self.installation)
        await self._deletions.loaded()
        ceilings = list(await asyncio.gather(*(self._ceiling(epoch, position) for position in positions)))
        lost = await self.guard.begin(positions)
        for at, ceiling in enumerate(ceilings):
            if positions[at].partition in lost or positions[at].log_end <= ceiling:
                positions[at] = await self._after_lost_end(tenure, epoch, positions[at], ceiling)
                ceilings[at] = NOTHING_STORED
            positions[at].check_deleted()
        [identity] = await topic_identities(self._settings, [self.topic])
        late = LateEvents(self._deletions.deleted, identity.topic_id)
        self._positions = positions
        self._epoch = epoch
        self._gaps = await self._compare(epoch, positions)
        ledgers = {
            position.partition.partition: OffsetLedger(position.committed, max(ceiling, position.committed - 1))
            for position, ceiling in zip(positions, ceilings, strict=True)
        }
        self.go_back(positions)
        return EventStore(self._settings, self._client, self._writer, self._dead_letters, tenure, epoch, ledgers, late)

    async def mend(self, tenure: Tenure, store: EventStore) -> None:
        if self._gaps:
            comparison = Comparison(self._client, self.topic, self._epoch)
            mending = Mending(self._settings, self.consumer, store, tenure, comparison, self._next_records)
            await mending.mend(self._gaps, self._positions)
        tenure.has_all_events.set()

    async def _after_lost_end(self, tenure: Tenure, epoch: int, position: Position, ceiling: int) -> Position:
        found = await after_lost_end(self._settings, epoch, position, ceiling + 1, self._deletions.deleted)
        tenure.check()
        try:
            await self.consumer.commit({found.partition: OffsetAndMetadata(found.committed, found.metadata)})
        except (CommitFailedError, IllegalStateError) as error:
            raise RevokedError from error
        return found

    async def _compare(self, epoch: int, positions: Sequence[Position]) -> dict[int, list[Gap]]:
        """What the tables lack of what Kafka still has below the committed offsets.

        Where Kafka keeps records longer than ClickHouse keeps events, older ones may have expired, and are left alone.
        """
        starts = {position.partition: position.log_start for position in positions}
        days = self._settings.events_ttl_days
        if self._settings.topic_retention_hours > 24 * days and positions:
            since = int(time() * 1000) - days * A_DAY_MS
            young = await self.consumer.offsets_for_times(dict.fromkeys(starts, since))
            starts = {tp: max(start, young[tp].offset) if young[tp] else _NEVER for tp, start in starts.items()}
        patient = await connect(self._settings, SLOWEST_ANSWER_S)
        try:
            bounds = {at.partition.partition: (starts[at.partition], at.committed) for at in positions}
            return await Comparison(patient, self.topic, epoch).gaps(bounds)
        finally:
            await patient.close()

    async def _next_records(self, partition: TopicPartition, reached: int) -> tuple[Sequence[Any], int]:
        fetched = await self._fetch([partition], FETCH_ROWS)
        return fetched.records.get(partition, ()), fetched.last.get(partition, reached - 1) + 1

    async def _ceiling(self, epoch: int, position: Position) -> int:
        found = await self._client.query(
            "SELECT count(), max(_offset) FROM events_log WHERE _topic_epoch = {epoch:UInt32} "
            "AND _partition = {partition:UInt32} AND _offset >= {committed:Int64}",
            parameters={
                "epoch": epoch,
                "partition": position.partition.partition,
                "committed": position.committed,
            },
        )
        count, highest = found.result_rows[0]
        return highest if count else -1

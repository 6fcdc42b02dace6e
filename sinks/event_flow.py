"""The flow of agent-events into events_log, and what must be known of a partition before its first record is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from sinks.dead_letters import DeadLetters
from sinks.deleting.control_deletions import ControlDeletions
from sinks.deleting.late_events import LateEvents
from sinks.epochs import current_epoch
from sinks.event_store import TABLE, EventStore
from sinks.offset_ledger import OffsetLedger
from sinks.positions import Position, read_positions
from sinks.table_writer import TableWriter
from sinks.tenure import Tenure
from sinks.topic_flow import TopicFlow
from sinks.topic_identity import topic_identities


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

    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> EventStore:
        """Before anything is read:

        1. the topics are those of the newest epoch;
        2. nothing of an earlier owner is still being inserted;
        3. only then look: the committed offset, and the highest offset stored at or above it;
        4. the log reaches from the one to the other;
        5. what is read next is what was committed;
        6. it is known what is deleted.
        """
        epoch = await current_epoch(self._settings, self._client)
        await self._writer.kill(TABLE, {tp.partition for tp in partitions})
        positions = await read_positions(self.consumer, partitions)
        ceilings = await asyncio.gather(*(self._ceiling(epoch, position) for position in positions))
        for position, ceiling in zip(positions, ceilings, strict=True):
            position.check(ceiling)
        ledgers = {
            position.partition.partition: OffsetLedger(position.committed, ceiling)
            for position, ceiling in zip(positions, ceilings, strict=True)
        }
        self.go_back(positions)
        late = LateEvents(self._deletions.deleted, (await topic_identities(self._settings, [self.topic]))[0].topic_id)
        await self._deletions.loaded()
        return EventStore(self._settings, self._client, self._writer, self._dead_letters, tenure, epoch, ledgers, late)

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

"""The flow of trace-summaries into its table; the watermark goes into the metadata of the committed offset.

One OffsetFetch of the sink's group so tells a reader both how far events are stored (the offset of agent-events) and
how far the summaries that are stored cover them (the metadata of trace-summaries).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from sinks.dead_letters import DeadLetters
from sinks.epochs import current_epoch
from sinks.errors import RevokedError
from sinks.log_times import summaries_since
from sinks.positions import Position, read_positions
from sinks.summary_store import SummaryStore
from sinks.table_writer import TableWriter
from sinks.tenure import Tenure
from sinks.topic_flow import TopicFlow
from sinks.uncovered import first_uncovered

log = logging.getLogger(__name__)


class SummaryFlow(TopicFlow):
    """Each snapshot at least once; the table keeps the newest."""

    def __init__(
        self, settings: Settings, client: AsyncClient, writer: TableWriter, dead_letters: DeadLetters, **flow: Any
    ) -> None:
        super().__init__(settings, **flow)
        self._settings = settings
        self._client = client
        self._writer = writer
        self._dead_letters = dead_letters
        self._epoch = 0
        self._positions: dict[int, Position] = {}
        self._folded: dict[int, int] = {}

    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> SummaryStore:
        epoch = await current_epoch(self._settings, self._client)
        positions = await read_positions(self.consumer, partitions)
        for position in positions:
            position.check(-1)
        self.go_back(positions)
        self._positions = {position.partition.partition: position for position in positions}
        self._folded = {position.partition.partition: int(position.metadata or 0) for position in positions}
        self._epoch = epoch
        return SummaryStore(self._settings, self._writer, self._dead_letters, tenure, epoch, self._folded)

    async def mend(self, tenure: Tenure, store: SummaryStore) -> None:
        """Read again from before the first summary that the table lacks, once the events are all there.

        A snapshot that is stored again changes nothing. Until the watermarks behind it are read again, too, reads of
        the partition are stale: that is committed first.
        """
        del store  # it knows the watermarks
        await tenure.unless_revoked(tenure.has_all_events.wait())
        for partition, position in self._positions.items():
            lacks = await tenure.unless_revoked(
                first_uncovered(self._client, self._epoch, partition, self._folded[partition])
            )
            if lacks is None:
                continue
            where = f"{self.topic} partition {partition}"
            start = await tenure.unless_revoked(summaries_since(self._settings, partition, lacks))
            if start >= position.committed:
                log.error("%s: ClickHouse lacks summaries of events from %s on, and Kafka has none", where, lacks)
                continue
            log.warning("%s: ClickHouse lacks summaries of events from %s on: storing them again", where, lacks)
            self._folded[partition] = lacks
            await self._rewind(replace(position, committed=start, metadata=str(lacks)))

    async def _rewind(self, position: Position) -> None:
        try:
            await self.consumer.commit({position.partition: OffsetAndMetadata(position.committed, position.metadata)})
        except (CommitFailedError, IllegalStateError) as error:
            raise RevokedError from error
        self.go_back([position])

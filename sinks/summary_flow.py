"""The flow of trace-summaries into its table; the watermark goes into the metadata of the committed offset.

One OffsetFetch of the sink's group so tells a reader both how far events are stored (the offset of agent-events) and
how far the summaries that are stored cover them (the metadata of trace-summaries).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from producers.topics import Topics
from sinks.dead_letters import DeadLetters
from sinks.deleting.control_deletions import ControlDeletions
from sinks.epochs import current_epoch
from sinks.positions import read_positions
from sinks.summary_lines import HiddenSummaries
from sinks.summary_store import SummaryStore
from sinks.table_writer import TableWriter
from sinks.tenure import Tenure
from sinks.topic_flow import TopicFlow
from sinks.topic_identity import topic_identities


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

    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> SummaryStore:
        epoch = await current_epoch(self._settings, self._client)
        positions = await read_positions(self.consumer, partitions)
        for position in positions:
            position.check(-1)
        self.go_back(positions)
        folded = {position.partition.partition: int(position.metadata or 0) for position in positions}
        events = Topics(self._settings.topic_prefix).events
        hidden = HiddenSummaries(
            self._deletions.deleted, (await topic_identities(self._settings, [events]))[0].topic_id
        )
        await self._deletions.loaded()
        return SummaryStore(self._settings, self._writer, self._dead_letters, tenure, epoch, folded, hidden)

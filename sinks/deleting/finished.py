"""What ClickHouse says of deletions: which of them are finished there, and of which log its epochs are."""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.topics import Topics
from sinks.deleting.deleted_rows import Epoch

_EPOCHS = """SELECT epoch, topic_id, toUnixTimestamp64Milli(created_at) FROM topic_epochs FINAL
WHERE topic = {topic:String} ORDER BY epoch"""


async def read_finished(client: AsyncClient) -> set[int]:
    """The ids of the deletions whose rows are gone. Raises clickhouse_connect's errors."""
    return {row[0] for row in (await client.query("SELECT DISTINCT id FROM finished_deletions")).result_rows}


async def read_epochs(client: AsyncClient, topics: Topics) -> list[Epoch]:
    """Every incarnation of agent-events that rows may be of. Raises clickhouse_connect's errors."""
    found = await client.query(_EPOCHS, parameters={"topic": topics.events})
    return [Epoch(*row) for row in found.result_rows]

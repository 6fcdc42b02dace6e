"""What ClickHouse says of deletions: which of them are finished there, and of which log its epochs are."""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.topics import Topics
from axonstream.sinks.deleting.deleted_rows import Epoch

_EPOCHS = """SELECT epoch, topic_id, toUnixTimestamp64Milli(created_at) FROM topic_epochs FINAL
WHERE topic = {topic:String} ORDER BY epoch"""
_LOST_ENDS = """SELECT epoch, of_epoch, toUnixTimestamp64Milli(found_at) FROM lost_ends FINAL
WHERE topic = {topic:String} ORDER BY epoch"""


async def read_finished(client: AsyncClient) -> set[int]:
    """The ids of the deletions whose rows are gone. Raises clickhouse_connect's errors."""
    return {row[0] for row in (await client.query("SELECT DISTINCT id FROM finished_deletions")).result_rows}


async def read_epochs(client: AsyncClient, topics: Topics) -> list[Epoch]:
    """Every incarnation of agent-events that rows may be of. Raises clickhouse_connect's errors.

    An end that the log of a partition has lost is there twice: as its log, since the bounds of a deletion that came
    before the loss are offsets of it, and as a log that ended when the loss was found, all of which a later deletion
    takes in.
    """
    events = {"topic": topics.events}
    epochs = [Epoch(*row) for row in (await client.query(_EPOCHS, parameters=events)).result_rows]
    topic_ids = {epoch.number: epoch.topic_id for epoch in epochs}
    for number, of_epoch, found_at in (await client.query(_LOST_ENDS, parameters=events)).result_rows:
        epochs += [Epoch(number, topic_ids.get(of_epoch, ""), found_at), Epoch(number, "", found_at)]
    return epochs

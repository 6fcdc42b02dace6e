"""The rows that are deleted and still there: whoever counts rows leaves them out."""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.kafka.topics import Topics
from axonstream.sinks.deleting.deleted_rows import batches
from axonstream.sinks.deleting.finished import read_epochs, read_finished

NONE = "0"


async def rows_to_go(client: AsyncClient, topics: Topics, deleted: DeletedTraces) -> str:
    """A condition on events_log: the rows of deletions that ClickHouse has not finished.

    A statement with it may be longer than ClickHouse takes by itself. Raises clickhouse_connect's errors.
    """
    if not deleted:
        return NONE
    finished = await read_finished(client)
    asked = [(tenant_id, one) for tenant_id, one in deleted if one.id not in finished and one.bounds]
    if not asked:
        return NONE
    epochs = await read_epochs(client, topics)
    return " OR ".join(batch.conditions["events_log"] for batch in batches(asked, epochs, topics, deleted))

"""The name of a ClickHouse database, so that commits say where their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.record_identity import CommitNote
from axonstream.sinks.errors import EpochError

_ID = "SELECT id FROM installation FINAL ORDER BY made_at, id LIMIT 1"


async def installation_id(client: AsyncClient) -> str:
    """The name of the database, given to it when it is first asked for. Raises clickhouse_connect's errors."""
    found = (await client.query(_ID)).result_rows
    if not found:
        await client.insert("installation", [[uuid4().hex]], column_names=["id"])
        found = (await client.query(_ID)).result_rows  # another one may have been quicker
    return found[0][0]


def check_installation(notes: Iterable[CommitNote], own: str) -> None:
    """Raises EpochError when what was committed is in another database; a commit that does not say is taken."""
    for note in notes:
        if note.clickhouse not in ("", own):
            raise EpochError(
                f"the offsets of this consumer group belong to another ClickHouse database ({note.clickhouse}; this is "
                f"{own}): what it holds would be missing here. If two installations share this Kafka, give each its "
                "own AXONSTREAM_TOPIC_PREFIX. If the other database is gone, stop the sinks and run "
                "`axonstream init --new-epoch`: everything that Kafka has is stored here"
            )

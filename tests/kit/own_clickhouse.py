"""A ClickHouse server that a test may kill, with the shared Kafka and topics of its own."""

from __future__ import annotations

from pathlib import Path

from axonstream.deploy.init import initialise
from axonstream.settings.settings import Settings
from kit.clickhouse_process import ClickHouseProcess


async def own_clickhouse(settings: Settings, directory: Path, topics: str) -> tuple[ClickHouseProcess, Settings]:
    """The server of `directory`, and settings for it, initialised; `topics` goes into the names of the topics.

    Whoever kills the server starts it `again`; the caller stops it.
    """
    server = ClickHouseProcess(directory, settings.clickhouse_password.get_secret_value())
    own = settings.model_copy(
        update={
            "clickhouse_url": f"http://127.0.0.1:{server.port}",
            "topic_prefix": f"{settings.topic_prefix}{topics}-",
        }
    )
    await initialise(own)
    return server, own

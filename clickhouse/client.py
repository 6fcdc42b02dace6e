"""How every part reaches ClickHouse, from the settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

from axonstream.clickhouse.proxy import ask_loopback_directly
from axonstream.settings.settings import Settings

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 30  # the longest silence of a server that was asked; clickhouse-connect's own is 300


def cluster_settings(settings: Settings) -> dict[str, Any]:
    """What makes a replicated cluster answer as one server does; nothing on a single server. Untested on a cluster."""
    if not settings.clickhouse_cluster:
        return {}
    return {"insert_quorum": "auto", "select_sequential_consistency": 1, "distributed_foreground_insert": 1}


def _options(settings: Settings) -> dict[str, Any]:
    ask_loopback_directly()
    url = urlsplit(settings.clickhouse_url)
    return {
        "interface": url.scheme,
        "host": url.hostname or "127.0.0.1",
        "port": url.port or (8443 if url.scheme == "https" else 8123),
        "username": settings.clickhouse_user,
        "password": settings.clickhouse_password.get_secret_value(),
        "autogenerate_session_id": False,  # a session admits one query at a time
        "query_retries": 0,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "settings": cluster_settings(settings),
    }


async def connect(
    settings: Settings, answer_timeout_s: int = ANSWER_TIMEOUT_S, *, only_reads: bool = False
) -> AsyncClient:
    """A client on the database of the settings, for concurrent use; `await client.close()` it.

    With `only_reads` ClickHouse ends a query when its connection is closed, as that of a cancelled query is.

    Raises clickhouse_connect's errors when no server answers. Do not use its `raw_insert` or `insert` for rows that
    must be stored once: both send the same rows again by themselves when the connection breaks (clickhouse-connect
    1.12).
    """
    options = _options(settings)
    if only_reads:
        options["settings"] |= {"cancel_http_readonly_queries_on_client_close": 1}
    return await clickhouse_connect.get_async_client(
        database=settings.clickhouse_database, send_receive_timeout=answer_timeout_s, **options
    )


def connect_blocking(settings: Settings) -> Client:
    """A blocking client on no database in particular, for the migrations."""
    return clickhouse_connect.get_client(**_options(settings))

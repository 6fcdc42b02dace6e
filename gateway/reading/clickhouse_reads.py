"""The gateway's reads of ClickHouse: in turns by tenant, within limits, and ended there when nobody waits any more.

A query whose task is cancelled, or that takes too long, closes its connection; ClickHouse ends it for that, as the
setting cancel_http_readonly_queries_on_client_close tells it. The limits are those of one query.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, cast

from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from axonstream.clickhouse import codes
from axonstream.clickhouse.client import connect
from axonstream.gateway.access.concurrency_limits import ConcurrencyLimit
from axonstream.gateway.http.errors import GatewayError, RefusedError, UnavailableError
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

TURN_WAIT_S = 5.0
_GIVES_UP_AFTER_S = 2.0  # beyond the limit of time, at which ClickHouse itself ends the query
_LOG_AGAIN_S = 5.0

_NARROWER = "Narrow it: name a traceId or a channelId, set since and until, or a smaller limit."

Rows = Sequence[Sequence[Any]]


class ClickHouseReads:
    """Connects when first asked. Calls raise UnavailableError when ClickHouse does not answer in time, and RefusedError
    400 when a query needs more rows or memory than it may."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = settings.read_timeout_ms / 1000
        self._stream_timeout_s = settings.trace_stream_timeout_s
        self._limits = {
            "max_memory_usage": settings.read_max_memory_bytes,
            "max_rows_to_read": settings.read_max_rows,
        }
        self._connecting = asyncio.Lock()
        self._connected: AsyncClient | None = None
        self._logged_at = -_LOG_AGAIN_S
        most = settings.reads_at_once
        self.turns = ConcurrencyLimit(most, most // 2, TURN_WAIT_S, "too many reads are under way")
        # Slow readers of long traces must leave the short reads their share of ClickHouse.
        self.streams = ConcurrencyLimit(most, most // 2, TURN_WAIT_S, "too many traces are being streamed")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._connected is not None:
            await self._connected.close()

    async def ping(self) -> None:
        """Return when ClickHouse answers a query. It waits for no turn."""
        await self._query("SELECT 1", {}, {})

    async def rows(self, tenant_id: str, sql: str, parameters: dict[str, Any], **options: Any) -> Rows:
        """The rows of a query, all at once."""
        async with self.turns.turn(tenant_id):
            return await self._query(sql, parameters, options)

    @asynccontextmanager
    async def blocks(
        self, tenant_id: str, sql: str, parameters: dict[str, Any], most_rows: int, **options: Any
    ) -> AsyncGenerator[AsyncIterator[Rows]]:
        """The rows of a query in blocks of up to `most_rows`, as ClickHouse sends them; one block is held at a time.

        It takes a turn of its own kind, and ends after trace_stream_timeout_s, however slow its reader is.
        """
        limits = self._limits | {"max_execution_time": self._stream_timeout_s, "max_block_size": most_rows}
        async with self.streams.turn(tenant_id):
            async with self._answering(self._stream_timeout_s):
                async with asyncio.timeout(self._timeout_s + _GIVES_UP_AFTER_S):
                    client = await self._client()
                    stream = await client.query_row_block_stream(sql, parameters=parameters, settings=limits, **options)

            async def blocks() -> AsyncGenerator[Rows]:
                async with self._answering(self._stream_timeout_s):
                    async for block in cast("AsyncIterator[Rows]", stream):
                        yield block

            async with stream:
                yield blocks()

    async def _query(self, sql: str, parameters: dict[str, Any], options: dict[str, Any]) -> Rows:
        limits = self._limits | {"max_execution_time": self._timeout_s}
        async with self._answering(self._timeout_s):
            async with asyncio.timeout(self._timeout_s + _GIVES_UP_AFTER_S):
                client = await self._client()
                return (await client.query(sql, parameters=parameters, settings=limits, **options)).result_rows

    async def _client(self) -> AsyncClient:
        async with self._connecting:
            if self._connected is None:
                self._connected = await connect(self._settings, only_reads=True)
            return self._connected

    @asynccontextmanager
    async def _answering(self, timeout_s: float) -> AsyncGenerator[None]:
        try:
            yield
        except (ClickHouseError, ClientError, OSError, TimeoutError) as error:
            if monotonic() > self._logged_at + _LOG_AGAIN_S:
                self._logged_at = monotonic()
                log.warning("ClickHouse did not answer a read: %s", _first_line(error))
            raise self._in_words(error, timeout_s) from error

    def _in_words(self, error: BaseException, timeout_s: float) -> GatewayError:
        """What the sender is told: nothing of the server's own text, which names addresses and tables."""
        code = error.code if isinstance(error, Error) else None
        if code == codes.TOO_MANY_ROWS:
            most = self._settings.read_max_rows
            return RefusedError(400, f"this read would look at more than {most:,} rows, which is the most", _NARROWER)
        if code == codes.MEMORY_LIMIT_EXCEEDED and "uery memory limit" in str(error):  # not the server's as a whole
            most = self._settings.read_max_memory_bytes >> 20
            return RefusedError(400, f"this read would need more than {most:,} MiB, which is the most", _NARROWER)
        if code == codes.TIMEOUT_EXCEEDED or isinstance(error, TimeoutError):
            return UnavailableError(f"ClickHouse did not answer this read within {timeout_s:g} s", _NARROWER)
        return UnavailableError("ClickHouse cannot answer", "Ask again; what was acknowledged is safe on Kafka.")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]

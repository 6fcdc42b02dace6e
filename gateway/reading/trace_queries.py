"""The SQL of the trace reads. Values are bound by the server, never written into the text.

Every query names the tenant: nothing of another tenant can be read or counted (guarantee G6).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from gateway.answers import FirstError, StoredEvent, TraceFigures
from gateway.errors import UnavailableError
from gateway.reading.recompute import RECOMPUTED
from gateway.turns import Turns
from producers.settings import Settings
from sinks.clickhouse import connect

ANSWER_TIMEOUT_S = 10
STREAMS_AT_ONCE = 8
STREAMS_OF_A_TENANT = 6
STREAM_TURN_WAIT_S = 5.0
STREAM_BLOCK_BYTES = 4 << 20  # of payload and metadata, by the mean of the trace: what one reader holds
_MOST_BLOCK_ROWS = 1000

_FIGURES = """trace_id, event_count, error_count, tool_call_count, handoff_count,
  toUnixTimestamp64Milli(first_at), toUnixTimestamp64Milli(last_at), agents, event_types,
  first_error_step, first_error_event_id, first_error_span_id, first_error_identifier, first_error_agent_id"""

# A segment's figures: PREWHERE reads the other columns of these traces alone, which FINAL would not do by itself.
_SEGMENTS = f"""SELECT {_FIGURES}, exact = 1 AND trace_id NOT IN
  (SELECT trace_id FROM dead_letters WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}})
FROM trace_summaries FINAL PREWHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}}"""  # noqa: S608  constants only

_ADDED_UP = f"""SELECT {_FIGURES} FROM traces
WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}}"""  # noqa: S608

# Every snapshot counts, the merged one or not: the time of a trace's last activity never goes back. LIMIT BY keeps the
# newest, which comes first. The projection by_activity is in this order: only what is shown, and skipped, is read.
PAGE_IDS = """SELECT trace_id FROM trace_summaries WHERE tenant_id = {tenant:String}
ORDER BY last_received_at DESC, trace_id DESC LIMIT 1 BY trace_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}"""

# As PAGE_IDS, of the traces whose last activity is within bounds.
_PAGE_IDS_WITHIN = """SELECT trace_id FROM trace_summaries WHERE tenant_id = {tenant:String} GROUP BY trace_id
HAVING max(last_received_at) >= fromUnixTimestamp64Milli({since:Int64})
  AND max(last_received_at) < fromUnixTimestamp64Milli({until:Int64})
ORDER BY max(last_received_at) DESC, trace_id DESC LIMIT {limit:UInt64} OFFSET {offset:UInt64}"""

# In the order of StoredEvent's fields.
EVENT_COLUMNS = """event_id, identifier, payload, metadata, channel_id, agent_id, trace_id, span_id, parent_event_id,
  parent_span_id, event_type, dedup_key, environment, source,
  toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at)"""

_EVENTS = f"""SELECT {EVENT_COLUMNS} FROM events
WHERE tenant_id = {{tenant:String}} AND trace_id = {{trace:String}}
ORDER BY occurred_at, _partition, _offset LIMIT {{limit:UInt64}}"""  # noqa: S608

_MEAN_BYTES = """SELECT toUInt64(sum(length(payload) + length(metadata)) / greatest(count(), 1)) FROM events_log
WHERE tenant_id = {tenant:String} AND trace_id = {trace:String}"""

_NO_LIMIT = (1 << 63) - 1
RAW: dict[str, Any] = {"payload": "bytes", "metadata": "bytes"}


class TraceQueries:
    """Reads ClickHouse; connects when first asked. Calls raise UnavailableError when ClickHouse does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting = asyncio.Lock()
        # Slow readers of long traces must leave the short reads their share of ClickHouse.
        refusal = "too many traces are being streamed"
        self.streams = Turns(STREAMS_AT_ONCE, STREAMS_OF_A_TENANT, STREAM_TURN_WAIT_S, refusal)
        self._connected: AsyncClient | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._connected is not None:
            await self._connected.close()

    async def ping(self) -> None:
        """Return when ClickHouse answers a query."""
        await self._rows("SELECT 1", {})

    async def trace(self, tenant_id: str, trace_id: str) -> TraceFigures | None:
        """The trace's figures, equal to their recomputation from its events (guarantee G3); None if there are none."""
        return (await self._figures_of(tenant_id, [trace_id])).get(trace_id)

    async def page(
        self, tenant_id: str, limit: int, offset: int, within: tuple[int, int] | None = None
    ) -> list[TraceFigures]:
        """A page of traces, newest activity first; `within` bounds it (ms): at or after the first, before the second.

        Which traces make the page is asked first, of two columns: the figures of all would take a second for a million.
        """
        given = {"tenant": tenant_id, "limit": limit, "offset": offset}
        if within is None:
            wanted = await self._rows(PAGE_IDS, given)
        else:
            wanted = await self._rows(_PAGE_IDS_WITHIN, given | {"since": within[0], "until": within[1]})
        trace_ids = [row[0] for row in wanted]
        figures = await self._figures_of(tenant_id, trace_ids) if trace_ids else {}
        return [figures[trace_id] for trace_id in trace_ids if trace_id in figures]

    async def first_events(self, tenant_id: str, trace_id: str, limit: int) -> list[StoredEvent]:
        """The first events of a trace, in order of time, arrival breaking ties."""
        parameters = {"tenant": tenant_id, "trace": trace_id, "limit": limit}
        return [StoredEvent(*row) for row in await self._rows(_EVENTS, parameters, column_formats=RAW)]

    @asynccontextmanager
    async def all_events(self, tenant_id: str, trace_id: str) -> AsyncGenerator[AsyncGenerator[list[StoredEvent]]]:
        """Blocks of a trace's events, in order, as ClickHouse sends them; one block is held at a time."""
        async with self.streams.turn(tenant_id), self._stream(tenant_id, trace_id) as blocks:
            yield blocks

    @asynccontextmanager
    async def _stream(self, tenant_id: str, trace_id: str) -> AsyncGenerator[AsyncGenerator[list[StoredEvent]]]:
        parameters = {"tenant": tenant_id, "trace": trace_id, "limit": _NO_LIMIT}
        ((mean,),) = await self._rows(_MEAN_BYTES, {"tenant": tenant_id, "trace": trace_id})
        rows = STREAM_BLOCK_BYTES // max(1, mean)
        settings = {"max_block_size": min(_MOST_BLOCK_ROWS, max(1, rows))}
        async with _answering():
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                client = await self._client()
                stream = await client.query_row_block_stream(
                    _EVENTS, parameters=parameters, settings=settings, column_formats=RAW
                )

        async def blocks() -> AsyncGenerator[list[StoredEvent]]:
            async with _answering():
                async for block in cast("AsyncIterator[Sequence[Any]]", stream):
                    yield [StoredEvent(*row) for row in block]

        async with stream:
            yield blocks()

    async def _figures_of(self, tenant_id: str, trace_ids: list[str]) -> dict[str, TraceFigures]:
        """By trace id, those that there are.

        1. a trace of one exact segment has the segment's figures; 2. any other is recomputed from its events; 3. one
        whose events have expired has its segments added up, which is all that is known of it.
        """
        segments: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        for row in await self._rows(_SEGMENTS, {"tenant": tenant_id, "traces": trace_ids}):
            segments[row[0]].append(row)
        figures = {trace_id: _figures(rows[0]) for trace_id, rows in segments.items() if len(rows) == 1 and rows[0][-1]}
        for sql in (RECOMPUTED, _ADDED_UP):
            if missing := [trace_id for trace_id in trace_ids if trace_id not in figures]:
                rows = await self._rows(sql, {"tenant": tenant_id, "traces": missing})
                figures |= {row[0]: _figures(row) for row in rows}
        return figures

    async def rows(self, sql: str, parameters: dict[str, Any], **options: Any) -> Sequence[Sequence[Any]]:
        """The rows of a query of somebody else's. Raises UnavailableError."""
        return await self._rows(sql, parameters, **options)

    async def _rows(self, sql: str, parameters: dict[str, Any], **options: Any) -> Sequence[Sequence[Any]]:
        async with _answering():
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                client = await self._client()
                return (await client.query(sql, parameters=parameters, **options)).result_rows

    async def _client(self) -> AsyncClient:
        async with self._connecting:
            if self._connected is None:
                self._connected = await connect(self._settings)
            return self._connected


def _figures(row: Sequence[Any]) -> TraceFigures:
    step, event_id, span_id, identifier, agent_id = row[9:14]
    error = FirstError(event_id, step, span_id, identifier, agent_id) if step else None
    return TraceFigures(*row[:9], first_error=error)


@asynccontextmanager
async def _answering() -> AsyncGenerator[None]:
    try:
        yield
    except (ClickHouseError, ClientError, OSError, TimeoutError) as error:
        hint = "Ask again; what was acknowledged is safe on Kafka."
        raise UnavailableError(f"ClickHouse cannot answer: {_first_line(error)}", hint) from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]

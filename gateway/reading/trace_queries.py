"""The SQL of the trace reads. Values are bound by the server, never written into the text.

Every query names the tenant: nothing of another tenant can be read or counted (guarantee G6).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from axonstream.event_contract import MAX_TIME_MS
from axonstream.event_fields import LISTED, Time
from axonstream.gateway.reading.bound_values import pieces
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.recompute import RECOMPUTED
from axonstream.gateway.reading.recomputed_runs import recomputed_runs
from axonstream.gateway.routing.answers import FirstError, StoredEvent, TraceFigures
from axonstream.run_summary import RUN_FIELDS
from axonstream.summary_counters import COLUMNS, COUNTERS
from axonstream.unix_ms import now_ms
from axonstream.verdict import DEFAULT_STALL_S, verdict

STREAM_BLOCK_BYTES = 4 << 20  # of payload and metadata, by the mean of the trace: what one reader holds
_MOST_BLOCK_ROWS = 1000

# Columns of what a summary says of its run; views have NULL where nobody knows.
_RUN_COLUMNS = {name: name for name in RUN_FIELDS} | {"cost_usd": "toString(cost_usd)"}
_RUN = f"toUnixTimestamp64Milli(last_received_at), {', '.join(_RUN_COLUMNS.values())}"

_FIGURES = f"""trace_id, event_count, {COLUMNS},
  toUnixTimestamp64Milli(first_at), toUnixTimestamp64Milli(last_at), agents, event_types,
  first_error_step, first_error_event_id, first_error_span_id, first_error_identifier, first_error_agent_id"""

# The environment that a trace's first event with one names: of the events, as summaries have none.
_ENVIRONMENTS = """WITH (SELECT mapFromArrays(groupArray(id), groupArray(name)) FROM (
  SELECT trace_id AS id, argMinIf(toString(environment), (occurred_at, environment), environment != '') AS name
  FROM events_log WHERE tenant_id = {tenant:String} AND trace_id IN {traces:Array(String)} GROUP BY trace_id
)) AS environments
"""

# A segment's figures: PREWHERE reads the other columns of these traces alone, which FINAL would not do by itself.
_SEGMENTS = f"""{_ENVIRONMENTS}SELECT {_FIGURES}, environments[trace_id], {_RUN}, exact = 1 AND trace_id NOT IN
  (SELECT trace_id FROM dead_letters WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}})
FROM trace_summaries FINAL PREWHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}}"""  # noqa: S608  constants only

_ADDED_UP = f"""SELECT {_FIGURES}, environment, {_RUN} FROM traces
WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}}"""  # noqa: S608

# Every snapshot counts, the merged one or not: the time of a trace's last activity never goes back. LIMIT BY keeps the
# newest, which comes first. The projection by_activity is in this order: only what is shown, and skipped, is read.
PAGE_IDS = """SELECT trace_id, toUnixTimestamp64Milli(last_received_at) FROM trace_summaries
WHERE tenant_id = {tenant:String}
ORDER BY last_received_at DESC, trace_id DESC LIMIT 1 BY trace_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}"""

# As PAGE_IDS, of the traces that were active within bounds: from their first event to their last, as their rows show
# it. Each snapshot of a trace says at most what a later one says.
_PAGE_IDS_WITHIN = """SELECT trace_id, toUnixTimestamp64Milli(max(last_received_at)) FROM trace_summaries
WHERE tenant_id = {tenant:String} GROUP BY trace_id
HAVING max(last_at) >= fromUnixTimestamp64Milli({since:Int64})
  AND min(first_at) < fromUnixTimestamp64Milli({until:Int64})
  AND (toUnixTimestamp64Milli(max(last_received_at)), trace_id) < ({at:Int64}, {trace:String})
ORDER BY max(last_received_at) DESC, trace_id DESC LIMIT {limit:UInt64} OFFSET {offset:UInt64}"""

# As PAGE_IDS, of the snapshots that stand after a place. A trace that stands before it may have older ones here.
_IDS_AFTER = """SELECT trace_id, toUnixTimestamp64Milli(last_received_at) FROM trace_summaries
WHERE tenant_id = {tenant:String} AND last_received_at <= fromUnixTimestamp64Milli({at:Int64})
  AND (last_received_at < fromUnixTimestamp64Milli({at:Int64}) OR trace_id < {trace:String})
ORDER BY last_received_at DESC, trace_id DESC LIMIT 1 BY trace_id LIMIT {limit:UInt64}"""

_LAST_ACTIVITY = """SELECT trace_id, toUnixTimestamp64Milli(max(last_received_at)) FROM trace_summaries
WHERE tenant_id = {tenant:String} AND trace_id IN {traces:Array(String)} GROUP BY trace_id"""

_TIMES = {field.name: f"toUnixTimestamp64Milli({field.name})" for field in LISTED if isinstance(field.kind, Time)}
EVENT_COLUMNS = ", ".join(_TIMES.get(name, name) for name in StoredEvent._fields)

_EVENTS = f"""SELECT {EVENT_COLUMNS} FROM events
WHERE tenant_id = {{tenant:String}} AND trace_id = {{trace:String}}
ORDER BY occurred_at, _partition, _offset LIMIT {{limit:UInt64}}"""  # noqa: S608

_MEAN_BYTES = """SELECT toUInt64(sum(length(payload) + length(metadata)) / greatest(count(), 1)) FROM events_log
WHERE tenant_id = {tenant:String} AND trace_id = {trace:String}"""

_NO_LIMIT = (1 << 63) - 1
RAW: dict[str, Any] = {"payload": "bytes", "metadata": "bytes"}


class TracePlace(NamedTuple):
    """A trace's place in the list: its last activity (ms since 1970), and its id."""

    at: int
    trace_id: str


_BEFORE_ALL = TracePlace(MAX_TIME_MS + 1, "")


class TracePage(NamedTuple):
    """`end` is the place of the last trace of a full page; None where nothing follows."""

    traces: list[TraceFigures]
    end: TracePlace | None


class TraceQueries:
    """What is asked of traces; `reads` says which errors calls raise.

    A run is stalled where something is open and nothing came for `stall_s`.
    """

    def __init__(
        self,
        reads: ClickHouseReads,
        *,
        stall_s: float = DEFAULT_STALL_S,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self.reads = reads
        self._stall_ms = int(stall_s * 1000)
        self._now_ms = now_ms

    async def trace(self, tenant_id: str, trace_id: str) -> TraceFigures | None:
        """The trace's figures, equal to their recomputation from its events (guarantee G3); None if there are none."""
        return (await self._figures_of(tenant_id, [trace_id])).get(trace_id)

    async def page(
        self,
        tenant_id: str,
        limit: int,
        offset: int = 0,
        within: tuple[int, int] | None = None,
        after: TracePlace | None = None,
    ) -> TracePage:
        """A page of traces, newest activity first. `within` (ms) leaves those that had begun before its second time,
        and had an event at or after its first.

        Which traces make the page is asked first, of two columns: the figures of all would take a second for a million.
        """
        given: dict[str, Any] = {"tenant": tenant_id, "limit": limit, "offset": offset}
        if within is None and after is not None:
            places = await self._places_after(tenant_id, limit, after)
        else:
            sql = PAGE_IDS
            if within is not None:
                sql, before = _PAGE_IDS_WITHIN, after or _BEFORE_ALL
                given |= {"since": within[0], "until": within[1], "at": before.at, "trace": before.trace_id}
            places = [TracePlace(at, trace_id) for trace_id, at in await self.reads.rows(tenant_id, sql, given)]
        figures = await self._figures_of(tenant_id, [place.trace_id for place in places])
        traces = [figures[place.trace_id] for place in places if place.trace_id in figures]
        return TracePage(traces, places[-1] if len(places) == limit else None)

    async def _places_after(self, tenant_id: str, limit: int, after: TracePlace) -> list[TracePlace]:
        """Looks at no more than stands after the place; `_IDS_AFTER` says why some of it is left out."""
        found: list[TracePlace] = []
        while len(found) < limit:
            given: dict[str, Any] = {"tenant": tenant_id, "limit": limit, "at": after.at, "trace": after.trace_id}
            rows = await self.reads.rows(tenant_id, _IDS_AFTER, given)
            last: dict[str, int] = {}
            for traces in pieces([trace_id for trace_id, _ in rows]):
                given = {"tenant": tenant_id, "traces": traces}
                last |= {row[0]: row[1] for row in await self.reads.rows(tenant_id, _LAST_ACTIVITY, given)}
            found += [TracePlace(at, trace_id) for trace_id, at in rows if last.get(trace_id) == at]
            if len(rows) < limit:
                break
            after = TracePlace(rows[-1][1], rows[-1][0])
        return found[:limit]

    async def first_events(self, tenant_id: str, trace_id: str, limit: int) -> list[StoredEvent]:
        """The first events of a trace, in order of time, arrival breaking ties."""
        given = {"tenant": tenant_id, "trace": trace_id, "limit": limit}
        return [StoredEvent(*row) for row in await self.reads.rows(tenant_id, _EVENTS, given, column_formats=RAW)]

    @asynccontextmanager
    async def all_events(self, tenant_id: str, trace_id: str) -> AsyncGenerator[AsyncGenerator[list[StoredEvent]]]:
        """Blocks of a trace's events, in order, as ClickHouse sends them; one block is held at a time."""
        given = {"tenant": tenant_id, "trace": trace_id}
        ((mean,),) = await self.reads.rows(tenant_id, _MEAN_BYTES, given)
        most = min(_MOST_BLOCK_ROWS, max(1, STREAM_BLOCK_BYTES // max(1, mean)))
        given |= {"limit": _NO_LIMIT}
        async with self.reads.blocks(tenant_id, _EVENTS, given, most, column_formats=RAW) as blocks:

            async def events() -> AsyncGenerator[list[StoredEvent]]:
                async for block in blocks:
                    yield [StoredEvent(*row) for row in block]

            yield events()

    async def _figures_of(self, tenant_id: str, trace_ids: list[str]) -> dict[str, TraceFigures]:
        """By trace id, those that there are.

        1. a trace of one exact segment has the segment's figures; 2. any other is recomputed from its events; 3. one
        whose events have expired has its segments added up, which is all that is known of it.
        """
        segments: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        for row in await self._of_traces(tenant_id, _SEGMENTS, trace_ids):
            segments[row[0]].append(row)
        figures = {
            trace_id: self._stands(_figures(rows[0]))
            for trace_id, rows in segments.items()
            if len(rows) == 1 and rows[0][-1]
        }
        if missing := [trace_id for trace_id in trace_ids if trace_id not in figures]:
            runs = await recomputed_runs(self.reads, tenant_id, missing)
            for row in await self._of_traces(tenant_id, RECOMPUTED, missing):
                told, run = _figures(row), runs.get(row[0], {})
                named = run.get("environment") or told.environment
                figures[row[0]] = self._stands(replace(told, run=run, environment=named))
        missing = [trace_id for trace_id in trace_ids if trace_id not in figures]
        for row in await self._of_traces(tenant_id, _ADDED_UP, missing):
            figures[row[0]] = self._stands(_figures(row))
        return figures

    def _stands(self, figures: TraceFigures) -> TraceFigures:
        """With what the run stands at now."""
        run = figures.run
        stand = verdict(
            run.get("root_kind", ""),
            run.get("root_status", ""),
            run.get("open_count", 0),
            run.get("last_failed", 0),
            figures.last_received_at,
            self._now_ms(),
            self._stall_ms,
        )
        return replace(figures, stand=stand)

    async def _of_traces(self, tenant_id: str, sql: str, trace_ids: Sequence[str]) -> list[Sequence[Any]]:
        """The rows of a query of traces: one query but for very long ids."""
        found: list[Sequence[Any]] = []
        for traces in pieces(trace_ids):
            found += await self.reads.rows(tenant_id, sql, {"tenant": tenant_id, "traces": traces})
        return found


def _figures(row: Sequence[Any]) -> TraceFigures:
    trace_id, event_count, *counts = row[: 2 + len(COUNTERS)]
    first_at, last_at, agents, event_types, step, *of_error, environment, received_at = row[2 + len(COUNTERS) :][:11]
    event_id, span_id, identifier, agent_id = of_error
    said = dict(zip(RUN_FIELDS, row[13 + len(COUNTERS) :], strict=False))
    run = {name: value for name, value in said.items() if value is not None}
    if isinstance(run.get("open_steps"), str):
        run["open_steps"] = orjson.loads(run["open_steps"])
    error = FirstError(event_id, step, span_id, identifier, agent_id) if step else None
    return TraceFigures(
        trace_id,
        event_count,
        counts,
        first_at,
        last_at,
        agents,
        event_types,
        first_error=error,
        environment=run.get("environment") or environment,
        last_received_at=received_at,
        run=run,
    )

"""Events that the watermark claims and no stored summary or step holds: how tables that have lost rows are noticed.

The rows do not say where on trace-summaries they stood, so it is the events that tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.sinks.summaries.summary_lines import HiddenSummaries
from axonstream.steps import ENDS, KINDS, STARTS

OFFSETS_AT_A_TIME = 1_000_000  # of a partition, the newest first; a power cut costs what was stored last
STEPS_AT_A_TIME = 100_000

# A segment that holds an event from `start` on ends there or later: all others need not be read.
_UNCOVERED = """SELECT e._offset, e.tenant_id, e.trace_id FROM (
  SELECT tenant_id, trace_id, _offset FROM events_log WHERE _topic_epoch = {epoch:UInt32}
    AND _partition = {partition:UInt32} AND _offset >= {start:Int64} AND _offset < {end:Int64}
) AS e
ASOF LEFT JOIN (
  SELECT tenant_id, trace_id, first_offset, max(last_offset) AS reaches FROM trace_summaries
  WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32} AND last_offset >= {start:Int64}
  GROUP BY tenant_id, trace_id, first_offset
) AS s ON e.tenant_id = s.tenant_id AND e.trace_id = s.trace_id AND e._offset >= s.first_offset
WHERE s.trace_id = '' OR s.reaches < e._offset
ORDER BY e._offset LIMIT {most:UInt32}"""
_EVENTS_AT_A_TIME = 10_000

_OF_LOG = "_topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}"
_WINDOW = f"{_OF_LOG} AND _offset >= {{start:Int64}} AND _offset < {{end:Int64}}"
_KIND_OF_TYPE = {name: KINDS[kind] for name, kind in (STARTS | ENDS).items()}

# Starts that no step is named by, and ends with a span of which none of the steps tells that changed in this time or
# later. Few of them lack a step: a start may have come after its end, and either of them once more.
_DOUBTFUL = f"""SELECT _offset, trace_id FROM events_log WHERE {_WINDOW} AND event_type IN {tuple(_KIND_OF_TYPE)}
  AND if(event_type IN {tuple(STARTS)},
    _offset NOT IN (SELECT step FROM steps_log WHERE {_OF_LOG} AND step >= {{start:Int64}} AND step < {{end:Int64}}),
    span_id != '' AND event_id NOT IN (
      SELECT end_event_id FROM steps_log WHERE {_OF_LOG} AND version >= {{start:Int64}} AND end_event_id > 0
        AND arrived_at >= (SELECT min(received_at) - toIntervalDay(1) FROM events_log WHERE {_WINDOW})))
ORDER BY _offset LIMIT {{most:UInt32}}"""  # noqa: S608

# Those of them that lack one: starts of no step, and ends with a span of which there is only an open step. Only of
# traces whose summaries are exact and know of steps: others may have met a bound, or a processor without steps.
_STEPS = f"steps_log WHERE {_OF_LOG} AND trace_id IN {{traces:Array(String)}}"
_UNSTEPPED = f"""SELECT _offset, tenant_id, trace_id FROM (
  SELECT _offset, tenant_id, trace_id, event_id, agent_id, span_id, event_type IN {tuple(STARTS)} AS starts,
    transform(toString(event_type), {list(_KIND_OF_TYPE)}, {list(_KIND_OF_TYPE.values())}, '') AS kind
  FROM events_log WHERE {_WINDOW} AND trace_id IN {{traces:Array(String)}} AND event_type IN {tuple(_KIND_OF_TYPE)}
    AND (tenant_id, trace_id) IN (
      SELECT tenant_id, trace_id FROM trace_summaries FINAL
      WHERE {_OF_LOG} AND trace_id IN {{traces:Array(String)}} AND last_offset >= {{start:Int64}}
      GROUP BY tenant_id, trace_id HAVING min(exact) = 1 AND min(root_kind != '') = 1
    )
)
WHERE if(starts,
  (tenant_id, trace_id, event_id) NOT IN (SELECT tenant_id, trace_id, start_event_id FROM {_STEPS})
    AND (span_id = '' OR (tenant_id, trace_id, kind, agent_id, span_id) NOT IN (
      SELECT tenant_id, trace_id, kind, agent_id, span_id FROM {_STEPS})),
  span_id != ''
    AND (tenant_id, trace_id, event_id) NOT IN (SELECT tenant_id, trace_id, end_event_id FROM {_STEPS})
    AND (tenant_id, trace_id, kind, agent_id, span_id) IN (
      SELECT tenant_id, trace_id, kind, agent_id, span_id FROM {_STEPS}
      GROUP BY ALL HAVING max(end_event_id) = 0))
ORDER BY _offset"""  # noqa: S608

Look = Callable[[AsyncClient, dict[str, int], HiddenSummaries | None], Awaitable[int | None]]


async def first_uncovered(
    client: AsyncClient,
    epoch: int,
    partition: int,
    folded: int,
    hidden: HiddenSummaries | None,
    *,
    everything: bool = False,
) -> int | None:
    """The first offset below `folded` whose event is in no stored summary or lacks its step; None when there is none.

    Events that are deleted, and whose rows are not gone yet, need none: `hidden` knows them.
    Goes back from `folded` until a stretch of OFFSETS_AT_A_TIME has none, or through `everything`; of steps the same in
    stretches of STEPS_AT_A_TIME, as looking for them takes longer.
    """
    looks = (
        _first(client, epoch, partition, folded, hidden, _first_between, OFFSETS_AT_A_TIME, everything=everything),
        _first(client, epoch, partition, folded, hidden, _first_unstepped, STEPS_AT_A_TIME, everything=everything),
    )
    return min([offset for look in looks if (offset := await look) is not None], default=None)


async def _first(
    client: AsyncClient,
    epoch: int,
    partition: int,
    folded: int,
    hidden: HiddenSummaries | None,
    look: Look,
    at_a_time: int,
    *,
    everything: bool,
) -> int | None:
    found: int | None = None
    end = folded
    while end > 0:
        start = max(0, end - at_a_time)
        first = await look(client, {"epoch": epoch, "partition": partition, "start": start, "end": end}, hidden)
        if first is not None:
            found = first
        elif not everything:
            break
        end = start
    return found


async def _first_between(client: AsyncClient, bounds: dict[str, int], hidden: HiddenSummaries | None) -> int | None:
    while True:
        rows = (await client.query(_UNCOVERED, parameters={**bounds, "most": _EVENTS_AT_A_TIME})).result_rows
        if (first := _first_shown(rows, bounds, hidden)) is not None:
            return first
        if len(rows) < _EVENTS_AT_A_TIME:
            return None
        bounds = {**bounds, "start": rows[-1][0] + 1}


async def _first_unstepped(client: AsyncClient, bounds: dict[str, int], hidden: HiddenSummaries | None) -> int | None:
    while True:
        doubtful = (await client.query(_DOUBTFUL, parameters={**bounds, "most": _EVENTS_AT_A_TIME})).result_rows
        if not doubtful:
            return None
        behind = doubtful[-1][0] + 1
        asked = {**bounds, "end": behind, "traces": sorted({trace_id for _, trace_id in doubtful})}
        rows = (await client.query(_UNSTEPPED, parameters=asked)).result_rows
        if (first := _first_shown(rows, bounds, hidden)) is not None or len(doubtful) < _EVENTS_AT_A_TIME:
            return first
        bounds = {**bounds, "start": behind}


def _first_shown(rows: Sequence[Sequence[Any]], bounds: dict[str, int], hidden: HiddenSummaries | None) -> int | None:
    for offset, tenant_id, trace_id in rows:
        if hidden is None or not hidden.hides_event(tenant_id, trace_id, bounds["partition"], offset):
            return int(offset)
    return None

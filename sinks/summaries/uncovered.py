"""Events that the watermark claims and no stored summary holds: how a table of summaries that has lost rows is noticed.

A summary's row does not say where on trace-summaries it stood, so it is the events that tell.
"""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.sinks.summaries.summary_lines import HiddenSummaries

OFFSETS_AT_A_TIME = 1_000_000  # of a partition, the newest first; a power cut costs what was stored last

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


async def first_uncovered(
    client: AsyncClient,
    epoch: int,
    partition: int,
    folded: int,
    hidden: HiddenSummaries | None,
    *,
    everything: bool = False,
) -> int | None:
    """The first offset below `folded` whose stored event is in no stored summary; None when there is none.

    Events that are deleted, and whose rows are not gone yet, need none: `hidden` knows them.
    Goes back from `folded` until a stretch of OFFSETS_AT_A_TIME has none, or through `everything`.
    """
    found: int | None = None
    end = folded
    while end > 0:
        start = max(0, end - OFFSETS_AT_A_TIME)
        first = await _first_between(client, epoch, partition, start, end, hidden)
        if first is not None:
            found = first
        elif not everything:
            break
        end = start
    return found


async def _first_between(
    client: AsyncClient, epoch: int, partition: int, start: int, end: int, hidden: HiddenSummaries | None
) -> int | None:
    while True:
        bounds = {"epoch": epoch, "partition": partition, "start": start, "end": end, "most": _EVENTS_AT_A_TIME}
        rows = (await client.query(_UNCOVERED, parameters=bounds)).result_rows
        for offset, tenant_id, trace_id in rows:
            if hidden is None or not hidden.hides_event(tenant_id, trace_id, partition, offset):
                return int(offset)
        if len(rows) < _EVENTS_AT_A_TIME:
            return None
        start = rows[-1][0] + 1

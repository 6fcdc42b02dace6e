"""What a trace's events say of its run, for summaries that may differ from the truth: by the rule of the fold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from axonstream.event_fields import RARE
from axonstream.gateway.reading.bound_values import pieces
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.process.loop_share import LoopShare
from axonstream.run_summary import RunFold
from axonstream.steps import PICO, usd

_AT_A_TIME = 2000
_MOST_OPEN = 5000  # of a trace that is counted again; the processor has given up before
_COLUMNS = {field.name: field.name for field in RARE} | {"cost_usd": "toString(cost_usd)"}
_OWN = ("event_id", "event_type", "identifier", "agent_id", "span_id", "parent_span_id", "environment")

# In the order of arrival: a trace that moved when partitions were added began in the one that took its first event.
# Without payloads: what an error says of itself is in its step alone.
_EVENTS = f"""SELECT trace_id, _offset, {", ".join(_OWN)},
  toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), '{{}}', {", ".join(_COLUMNS.values())}
FROM events WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}}
ORDER BY trace_id, _topic_epoch,
  min(received_at) OVER (PARTITION BY trace_id, _topic_epoch, _partition), _partition, _offset"""  # noqa: S608  constants only

# What the processor has worked out with a price is in the rows of its steps alone.
_PRICED = """SELECT trace_id, toString(sum(cost_usd)), count() FROM (
  SELECT trace_id, cost_usd FROM steps_log FINAL
  WHERE tenant_id = {tenant:String} AND trace_id IN {traces:Array(String)}
    AND gone = 0 AND is_counted = 1 AND price != ''
  LIMIT 1 BY trace_id, end_event_id
) GROUP BY trace_id"""


class _Event(NamedTuple):
    """A row, as the rule reads an event."""

    event_id: int
    event_type: str
    identifier: str
    agent_id: str
    span_id: str
    parent_span_id: str
    environment: str
    occurred_at: int
    received_at: int
    payload: str
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]


async def recomputed_runs(
    reads: ClickHouseReads, tenant_id: str, trace_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By trace, what its summary would say of its run (see `run_summary`), from the events that ClickHouse has."""
    runs: dict[str, RunFold] = {}
    offsets: dict[str, list[int]] = {}
    priced: dict[str, tuple[str, int]] = {}
    share = LoopShare()
    for traces in pieces(trace_ids):
        given = {"tenant": tenant_id, "traces": traces}
        async with reads.blocks(tenant_id, _EVENTS, given, _AT_A_TIME) as blocks:
            async for block in blocks:
                for trace_id, offset, *row in block:
                    seen = offsets.setdefault(trace_id, [])
                    runs.setdefault(trace_id, RunFold()).fold(_event(row), len(seen), most=_MOST_OPEN)
                    seen.append(offset)
                    if share.is_over():
                        await share.give_way()
        for trace_id, cost, calls in await reads.rows(tenant_id, _PRICED, given):
            priced[trace_id] = cost, calls
    return {trace_id: _said(run, offsets[trace_id], priced.get(trace_id)) for trace_id, run in runs.items()}


def _event(row: Sequence[Any]) -> Any:
    own, times, rest = row[: len(_OWN)], row[len(_OWN) : len(_OWN) + 3], row[len(_OWN) + 3 :]
    fields = dict(zip(_COLUMNS, rest, strict=True))
    if fields["cost_usd"] is not None:
        fields["cost_usd"] = Decimal(fields["cost_usd"])
    return _Event._make([*own, *times, fields])


def _said(run: RunFold, offsets: Sequence[int], priced: tuple[str, int] | None) -> dict[str, Any]:
    """Steps are counted by arrival here, as offsets of several logs may be equal: each gets its own offset back."""
    said = run.fields()
    if "slowest_step" in said:
        said["slowest_step"] = offsets[said["slowest_step"]]
    said["open_steps"] = [[*step[:-1], offsets[step[-1]]] for step in said.get("open_steps", [])]
    if priced is not None:
        cost, calls = priced
        said["cost_usd"] = usd(run.book.cost + int(Decimal(cost).scaleb(PICO)))
        said["priced_calls"] = run.book.priced_calls + calls
        said["unpriced_calls"] = max(0, run.book.unpriced_calls - calls)
    return said

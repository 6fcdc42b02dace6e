"""Every stored summary that calls itself exact is the recomputation from its segment's events (guarantee G3).

A segment is what the processor folded from a trace's first event to its eviction: the events from `first_offset` to
below the next segment's. Within it, events of one dedup key count once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from time import time
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.settings.settings import Settings
from axonstream.sinks.verification.deleted import KnownDeletions
from axonstream.sinks.verification.findings import Finding, Kind, Verification
from axonstream.sinks.verification.log_state import EventsLog, PartitionState
from axonstream.summary_counters import COUNTED_BY_NAME, NAMES

ROWS_AT_A_TIME = 500_000  # of either table, about what one query holds in memory; a larger trace comes alone
_DAY_MS = 24 * 3600 * 1000

_COMPARED = (
    "event_count", *NAMES, "first_at", "last_at", "last_received_at",
    "agents", "event_types", "first_error_step", "first_error_event_id", "first_error_span_id",
    "first_error_identifier", "first_error_agent_id",
)  # fmt: skip
_SEGMENT = "tenant_id, trace_id, _topic_epoch, _partition, first_offset"

# Both tables are in the order of (tenant_id, trace_id): a range of these is read from the index, whatever its bounds.
# Written out, because ClickHouse finds no range of its index in a comparison of tuples.
_BEHIND = (
    "tenant_id >= {after_tenant:String} AND (tenant_id > {after_tenant:String} OR trace_id > {after_trace:String})"
)
_UP_TO = "tenant_id <= {last_tenant:String} AND (tenant_id < {last_tenant:String} OR trace_id <= {last_trace:String})"
_RANGE = f"({{everything_behind:UInt8}} OR {_BEHIND}) AND ({{everything_up_to:UInt8}} OR {_UP_TO})"

_CHECK = f"""
WITH segments AS (
  SELECT * FROM trace_summaries FINAL WHERE {_RANGE}
),
placed AS (
  SELECT e.*, s.first_offset AS first_offset, if(s.trace_id = '', -1, s.last_offset) AS last_offset
  FROM (
    SELECT tenant_id, trace_id, _topic_epoch, _partition, _offset, event_id, dedup_key, event_type, agent_id, span_id,
      identifier, occurred_at, received_at
    FROM events_log WHERE {_RANGE}
  ) AS e
  ASOF LEFT JOIN segments AS s
  ON e.tenant_id = s.tenant_id AND e.trace_id = s.trace_id AND e._topic_epoch = s._topic_epoch
    AND e._partition = s._partition AND e._offset >= s.first_offset
),
counted AS (
  SELECT * FROM placed WHERE last_offset >= _offset
  ORDER BY {_SEGMENT}, _offset
  LIMIT 1 BY {_SEGMENT}, if(dedup_key = '', _offset, -1), if(dedup_key = '', 0, event_id)
),
recomputed AS (
  SELECT {_SEGMENT},
    count() AS event_count,
    {COUNTED_BY_NAME},
    min(occurred_at) AS first_at, max(occurred_at) AS last_at, max(received_at) AS last_received_at,
    min(_offset) AS lowest,
    arraySort((name, at) -> at, (minMapIf([agent_id], [_offset], agent_id != '') AS a).1, a.2) AS agents,
    arraySort((name, at) -> at, (minMap([event_type], [_offset]) AS t).1, t.2) AS event_types,
    (minIf((step, event_id, span_id, identifier, agent_id), event_type = 'agent.error') AS f).1 AS first_error_step,
    f.2 AS first_error_event_id, f.3 AS first_error_span_id, f.4 AS first_error_identifier,
    f.5 AS first_error_agent_id
  FROM (SELECT *, row_number() OVER (PARTITION BY {_SEGMENT} ORDER BY occurred_at, _offset) AS step FROM counted)
  GROUP BY {_SEGMENT}
)"""  # noqa: S608  constants only

_STORED = ", ".join(f"s.{name}" for name in _COMPARED)
_TRUE = ", ".join(f"r.{name}" for name in _COMPARED)
_SUMMARIES = f"""{_CHECK}
SELECT s.tenant_id, s.trace_id, s._topic_epoch, s._partition, s.first_offset, s.last_offset, r.event_count > 0,
  r.lowest, s.exact AND (s.tenant_id, s.trace_id) NOT IN
    (SELECT tenant_id, trace_id FROM dead_letters WHERE trace_id != '') AS exact,
  ({_STORED}) = ({_TRUE}) AS same, ({_STORED}), ({_TRUE})
FROM segments AS s LEFT JOIN recomputed AS r USING ({_SEGMENT})
WHERE NOT exact OR NOT same OR r.lowest > s.first_offset"""  # noqa: S608

_UNCOVERED = f"""{_CHECK}
SELECT tenant_id, trace_id, _topic_epoch, _partition, min(_offset), count() FROM placed
WHERE last_offset < _offset
  AND _offset < transform(_partition, {{partitions:Array(UInt32)}}, {{visible:Array(Int64)}}, 0)
  AND _topic_epoch = {{epoch:UInt32}}
GROUP BY tenant_id, trace_id, _topic_epoch, _partition ORDER BY ALL"""  # noqa: S608


# The first trace that is more than a number of rows behind another.
_NEXT = f"""SELECT tenant_id, trace_id FROM {{table:Identifier}} WHERE {{everything_behind:UInt8}} OR {_BEHIND}
ORDER BY tenant_id, trace_id LIMIT 1 OFFSET {{rows:UInt64}}"""  # noqa: S608


class SummaryCheck:
    """Compares some traces at a time, in the order of the tables: memory is bounded whatever their size, every row is
    read about twice, and it does not matter whether tenants are few or many.

    A segment whose newest event the sink has not committed is left for later, and one whose first event retention
    has deleted cannot be judged.
    """

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        epoch: int,
        result: Verification,
        deletions: KnownDeletions | None = None,
    ) -> None:
        self._deletions = deletions
        self._settings = settings
        self._client = client
        self._epoch = epoch
        self._result = result

    async def check(self, log: EventsLog, states: Sequence[PartitionState]) -> None:
        """Adds summaries that differ, and events that are in no summary, to the result."""
        ((self._result.summaries,),) = await self._rows("SELECT count() FROM trace_summaries FINAL")
        async for some in self._ranges():
            await self._check_range(log, states, some)

    async def _ranges(self) -> AsyncGenerator[dict[str, Any]]:
        """All traces, as parameters of queries: each range is about ROWS_AT_A_TIME of the table that has more there."""
        after: tuple[str, str] | None = None
        while True:
            tenant, trace = after or ("", "")
            lower = {"everything_behind": int(after is None), "after_tenant": tenant, "after_trace": trace}
            found = [
                tuple(row)
                for table in ("events_log", "trace_summaries")
                for row in await self._rows(_NEXT, table=table, rows=ROWS_AT_A_TIME, **lower)
            ]
            after = min(found, default=None)
            tenant, trace = after or ("", "")
            yield {**lower, "everything_up_to": int(after is None), "last_tenant": tenant, "last_trace": trace}
            if after is None:
                return

    async def _check_range(self, log: EventsLog, states: Sequence[PartitionState], some: dict[str, Any]) -> None:
        partitions = [state.partition for state in states]
        committed = {state.partition: state.committed for state in states}
        different = await self._rows(_SUMMARIES, **some)
        oldest = await log.oldest(partitions, self._kept_since_ms())  # after the look: what it missed may have expired
        for row in different:
            if not self._is_going(*row[:2]):
                self._judge(row, committed, oldest)
        visible = {"partitions": partitions, "visible": [state.visible for state in states]}
        for tenant, trace, epoch, partition, offset, count in await self._rows(_UNCOVERED, **visible, **some):
            if self._is_going(tenant, trace):
                continue
            where = f"tenant {tenant} trace {trace}, {partition}@{offset} epoch {epoch}"
            self._result.add(Finding(Kind.UNCOVERED, where, f"{count} events from here on are in no summary"), count)

    def _is_going(self, tenant_id: str, trace_id: str) -> bool:
        """Whether the trace is being deleted: of its rows some may be gone already."""
        return self._deletions is not None and self._deletions.are_under_way(tenant_id, trace_id)

    def _kept_since_ms(self) -> int | None:
        """None where Kafka does not keep records longer than ClickHouse keeps events."""
        days = self._settings.events_ttl_days
        return None if self._settings.topic_retention_hours <= 24 * days else int(time() * 1000) - days * _DAY_MS

    def _judge(self, row: Sequence[Any], committed: dict[int, int], oldest: dict[int, int]) -> None:
        tenant, trace, epoch, partition, first, last, has_events, lowest, exact, same, stored, true = row
        known = epoch == self._epoch and partition in committed
        if known and last >= committed[partition]:
            self._result.summaries -= 1
        elif (not has_events or lowest > first) and (not known or first < oldest[partition]):
            self._result.expired += 1
        elif not exact:
            self._result.inexact += 1
        elif not same or lowest != first:
            where = f"tenant {tenant} trace {trace}, {partition}@{first} to {last} epoch {epoch}"
            self._result.add(Finding(Kind.SUMMARY, where, "; ".join(_differences(stored, true)) or "its first event"))

    async def _rows(self, sql: str, **parameters: Any) -> Any:
        given = {"epoch": self._epoch, **parameters}
        return (await self._client.query(sql, parameters=given)).result_rows


def _differences(stored: Iterable[Any], true: Iterable[Any]) -> list[str]:
    return [
        f"{name} is {is_} and should be {should}"
        for name, is_, should in zip(_COMPARED, stored, true, strict=True)
        if is_ != should
    ]

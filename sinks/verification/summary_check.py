"""Every stored summary that calls itself exact is the recomputation from its segment's events (guarantee G3).

A segment is what the processor folded from a trace's first event to its eviction: the events from `first_offset` to
below the next segment's. Within it, events of one dedup key count once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from producers.topics import Topics
from sinks.verification.findings import Finding, Kind, Verification
from sinks.verification.log_state import PartitionState

EVENTS_AT_A_TIME = 500_000  # about what one query holds in memory

_COMPARED = (
    "event_count", "error_count", "tool_call_count", "handoff_count", "first_at", "last_at", "last_received_at",
    "agents", "event_types", "first_error_step", "first_error_event_id", "first_error_span_id",
    "first_error_identifier", "first_error_agent_id",
)  # fmt: skip
_SEGMENT = "tenant_id, trace_id, _topic_epoch, _partition, first_offset"

_CHECK = f"""
WITH segments AS (
  SELECT * FROM trace_summaries FINAL WHERE cityHash64(trace_id) % {{buckets:UInt32}} = {{bucket:UInt32}}
),
placed AS (
  SELECT e.*, s.first_offset AS first_offset, if(s.trace_id = '', -1, s.last_offset) AS last_offset
  FROM (
    SELECT tenant_id, trace_id, _topic_epoch, _partition, _offset, event_id, dedup_key, event_type, agent_id, span_id,
      identifier, occurred_at, received_at
    FROM events_log WHERE cityHash64(trace_id) % {{buckets:UInt32}} = {{bucket:UInt32}}
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
    countIf(event_type = 'agent.error') AS error_count,
    countIf(event_type = 'agent.tool_call.start') AS tool_call_count,
    countIf(event_type = 'agent.handoff') AS handoff_count,
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


class SummaryCheck:
    """Compares bucket by bucket of traces, so that memory is bounded whatever the size of the tables.

    A segment whose newest event the sink has not committed is left for later, and one whose first event retention
    has deleted cannot be judged.
    """

    def __init__(self, settings: Settings, client: AsyncClient, epoch: int, result: Verification) -> None:
        self._topic = Topics(settings.topic_prefix).events
        self._client = client
        self._epoch = epoch
        self._result = result

    async def check(self, states: Sequence[PartitionState]) -> None:
        """Adds summaries that differ, and events that are in no summary, to the result."""
        ((events, summaries),) = await self._rows(
            "SELECT (SELECT count() FROM events_log), (SELECT count() FROM trace_summaries FINAL)"
        )
        self._result.summaries = summaries
        buckets = 1 + events // EVENTS_AT_A_TIME
        for bucket in range(buckets):
            await self._check_bucket(states, {"buckets": buckets, "bucket": bucket})

    async def _check_bucket(self, states: Sequence[PartitionState], bucket: dict[str, Any]) -> None:
        by_partition = {state.partition: state for state in states}
        for row in await self._rows(_SUMMARIES, **bucket):
            self._judge(row, by_partition)
        visible = {"partitions": list(by_partition), "visible": [state.visible for state in states]}
        for tenant, trace, epoch, partition, offset, count in await self._rows(_UNCOVERED, **visible, **bucket):
            where = f"tenant {tenant} trace {trace}, {partition}@{offset} epoch {epoch}"
            self._result.add(Finding(Kind.UNCOVERED, where, f"{count} events from here on are in no summary"), count)

    def _judge(self, row: Sequence[Any], states: dict[int, PartitionState]) -> None:
        tenant, trace, epoch, partition, first, last, has_events, lowest, exact, same, stored, true = row
        state = states.get(partition) if epoch == self._epoch else None
        if state is not None and last >= state.committed:
            self._result.summaries -= 1
        elif (not has_events or lowest > first) and (state is None or first < state.start):
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

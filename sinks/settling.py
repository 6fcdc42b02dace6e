"""What becomes of an incarnation that has ended: every row of it is in a summary, and no summary claims too much.

Its events that Kafka has lost are in ClickHouse alone. The processor will never fold them, so their summaries are made
here, and say that they are inexact: reads then count the events themselves.
"""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from sinks.summary_lines import COLUMNS

_FIGURES = COLUMNS.removesuffix(", _topic_epoch, _partition")

# A summary that reaches beyond what the log still has may count events that nobody has stored. Of two rows of one
# version the table keeps the one that was inserted last.
_INEXACT = f"""INSERT INTO trace_summaries ({COLUMNS})
SELECT 1, {_FIGURES.removeprefix("v, ").replace(", exact", "")}, 0, _topic_epoch, _partition
FROM trace_summaries FINAL
WHERE _topic_epoch = {{number:UInt32}} AND _partition = {{partition:UInt32}} AND last_offset >= {{since:Int64}}
  AND exact = 1"""  # noqa: S608  constants only

_UNCOVERED = f"""INSERT INTO trace_summaries ({COLUMNS})
SELECT 1, tenant_id, trace_id, min(_offset), max(_offset), count(), countIf(event_type = 'agent.error'),
  countIf(event_type = 'agent.tool_call.start'), countIf(event_type = 'agent.handoff'),
  min(occurred_at), max(occurred_at), max(received_at),
  arraySlice(arrayDistinct((arraySort(groupArrayIf((_offset, toString(agent_id)), agent_id != '')) AS a).2), 1, 64),
  arraySlice(arrayDistinct((arraySort(groupArray((_offset, toString(event_type)))) AS t).2), 1, 64),
  argMinIf(event_id, (occurred_at, _offset), event_type = 'agent.error'), 0,
  argMinIf(span_id, (occurred_at, _offset), event_type = 'agent.error'),
  argMinIf(identifier, (occurred_at, _offset), event_type = 'agent.error'),
  argMinIf(agent_id, (occurred_at, _offset), event_type = 'agent.error'),
  0, {{number:UInt32}}, {{partition:UInt32}}
FROM (
  SELECT e.*, s.last_offset AS folded_to, s.trace_id AS folded_trace FROM (
    SELECT tenant_id, trace_id, _offset, event_id, event_type, agent_id, span_id, identifier, occurred_at, received_at
    FROM events_log WHERE _topic_epoch = {{number:UInt32}} AND _partition = {{partition:UInt32}}
  ) AS e
  ASOF LEFT JOIN (
    SELECT tenant_id, trace_id, first_offset, last_offset FROM trace_summaries FINAL
    WHERE _topic_epoch = {{number:UInt32}} AND _partition = {{partition:UInt32}}
  ) AS s ON e.tenant_id = s.tenant_id AND e.trace_id = s.trace_id AND e._offset >= s.first_offset
)
WHERE folded_trace = '' OR folded_to < _offset
GROUP BY tenant_id, trace_id"""  # noqa: S608


async def settle(client: AsyncClient, partition: int, number: int, since: int) -> None:
    """The incarnation `number` of `partition` has ended: what it has at `since` or later, Kafka has lost.

    Running it again changes nothing. It reads all rows of the partition, once in a log's life.
    """
    parameters = {"partition": partition, "number": number, "since": since}
    await client.command(_INEXACT, parameters=parameters)
    await client.command(_UNCOVERED, parameters=parameters)

"""Summaries that the sink makes of rows, because no processor will, and those that it takes back.

They are inexact, so reads count the events themselves; but a trace without any would be in no list. Rows that a
deletion is about to take are in none of them: a summary of those and of later events would go with them, and leave the
later events without any. `gone` is the condition of such rows, see `rows_to_go`.
"""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.step_record import COLUMNS as STEP_FIELDS
from axonstream.sinks.deleting.rows_to_go import NONE
from axonstream.sinks.summaries.summary_lines import MADE_COLUMNS, STEP_COLUMNS
from axonstream.steps import STARTS, TOKENS
from axonstream.summary_counters import COUNTED

OFFSETS_AT_A_TIME = 1_000_000
_MOST_NAMES = 64  # as in the fold
_GONE = "<gone>"
# Thousands of deletions may wait, and each is a condition of the statement.
_LONG_STATEMENT = {
    "max_query_size": 256 << 20,
    "max_ast_elements": 10_000_000,
    "max_expanded_ast_elements": 10_000_000,
}

_OF_ROWS = f"""SELECT 1, tenant_id, trace_id, min(_offset), max(_offset), count(),
  {COUNTED}, min(occurred_at), max(occurred_at), max(received_at),
  arraySlice(arrayDistinct(arrayMap(x -> x.2,
    arraySort(groupArrayIf((_offset, toString(agent_id)), agent_id != '')))), 1, {_MOST_NAMES}),
  arraySlice(arrayDistinct(arrayMap(x -> x.2, arraySort(groupArray((_offset, toString(event_type)))))), 1,
    {_MOST_NAMES}),
  argMinIf(event_id, (occurred_at, _offset), event_type = 'agent.error'),
  0,
  argMinIf(span_id, (occurred_at, _offset), event_type = 'agent.error'),
  argMinIf(identifier, (occurred_at, _offset), event_type = 'agent.error'),
  argMinIf(toString(agent_id), (occurred_at, _offset), event_type = 'agent.error'),
  0, {{number:UInt32}}, {{partition:UInt32}}"""

_SUMMARISE = f"""INSERT INTO trace_summaries ({MADE_COLUMNS})
{_OF_ROWS}
FROM events_log WHERE _partition = {{partition:UInt32}}
  AND (_topic_epoch = {{number:UInt32}} OR _topic_epoch = {{epoch:UInt32}} AND _offset >= {{since:Int64}})
  AND NOT ({_GONE})
GROUP BY tenant_id, trace_id"""

_COVER = f"""INSERT INTO trace_summaries ({MADE_COLUMNS})
{_OF_ROWS}
FROM (
  SELECT e.*, s.reaches_to AS reaches_to, s.trace_id AS trace_of_segment FROM (
    SELECT tenant_id, trace_id, _offset, event_id, event_type, agent_id, span_id, identifier, occurred_at, received_at
    FROM events_log WHERE _topic_epoch = {{number:UInt32}} AND _partition = {{partition:UInt32}}
      AND _offset >= {{start:Int64}} AND _offset < {{end:Int64}} AND NOT ({_GONE})
  ) AS e
  ASOF LEFT JOIN (
    SELECT tenant_id, trace_id, first_offset, max(last_offset) AS reaches_to FROM trace_summaries
    WHERE _topic_epoch = {{number:UInt32}} AND _partition = {{partition:UInt32}} AND last_offset >= {{start:Int64}}
    GROUP BY tenant_id, trace_id, first_offset
  ) AS s ON e.tenant_id = s.tenant_id AND e.trace_id = s.trace_id AND e._offset >= s.first_offset
) WHERE trace_of_segment = '' OR reaches_to < _offset
GROUP BY tenant_id, trace_id"""  # noqa: S608

# A step that began before, and went on since, as it began: nothing else is known to be of before.
_AS_BEGUN = {
    "version": "step",
    "status": "'open'",
    **dict.fromkeys(("ended_at", "duration_ms", *TOKENS, "cost_usd"), "NULL"),
    **dict.fromkeys(("end_event_id", "error_event_id", "is_counted"), "0"),
    **dict.fromkeys(("error_type", "error_message", "price"), "''"),
}
_OF_PARTITION = "_topic_epoch = {number:UInt32} AND _partition = {partition:UInt32}"
_WENT_ON = f"{_OF_PARTITION} AND step < {{start:Int64}} AND version >= {{start:Int64}}"
_BEGUN = f"""INSERT INTO steps_log ({STEP_COLUMNS})
SELECT {", ".join(_AS_BEGUN.get(name, name) for name in STEP_FIELDS)}, _topic_epoch, _partition FROM steps_log FINAL
WHERE {_WENT_ON} AND gone = 0 AND (step, start_event_id) IN (
  SELECT _offset, event_id FROM events_log WHERE {_OF_PARTITION} AND _offset < {{start:Int64}}
    AND (tenant_id, trace_id) IN (SELECT tenant_id, trace_id FROM steps_log WHERE {_WENT_ON})
    AND event_type IN ({", ".join(f"'{name}'" for name in STARTS)})
)"""  # noqa: S608

_LOWEST = """SELECT count(), min(_offset) FROM events_log
WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}"""


async def summarise(client: AsyncClient, partition: int, number: int, epoch: int, since: int, gone: str = NONE) -> None:
    """Of the rows of `epoch` from `since` on, and those of `number`, a summary of each trace under `number`."""
    await _run(client, _SUMMARISE, gone, partition=partition, number=number, epoch=epoch, since=since)


async def _run(client: AsyncClient, sql: str, gone: str, **given: int) -> None:
    settings = {} if gone == NONE else _LONG_STATEMENT
    await client.command(sql.replace(_GONE, gone), parameters=given, settings=settings)


async def fold_anew_from(client: AsyncClient, epoch: int, partition: int, start: int, gone: str = NONE) -> None:
    """The processor folds the partition once more, from `start` on: what it made of these events before is taken back.

    A segment that began before `start` is made of its rows again, as far as it is not folded once more, and a step that
    did is open again. Running this again also takes back what was folded since; it is to be stored again then. Raises
    clickhouse_connect's errors.
    """
    await _run(client, _BEGUN, NONE, number=epoch, partition=partition, start=start)
    for table, version in (("steps_log", "version"), ("trace_summaries", "last_offset")):
        await client.command(
            f"ALTER TABLE {table} DELETE WHERE _topic_epoch = {epoch:d} AND _partition = {partition:d} "
            f"AND {version} >= {start:d} SETTINGS mutations_sync = 2"
        )
    ((count, lowest),) = (await client.query(_LOWEST, parameters={"epoch": epoch, "partition": partition})).result_rows
    end = start
    while count and end > lowest:
        bounds = {"start": max(0, end - OFFSETS_AT_A_TIME), "end": end}
        await _run(client, _COVER, gone, number=epoch, partition=partition, **bounds)
        end = bounds["start"]

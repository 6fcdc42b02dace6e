"""A trace's figures from its events, for summaries that may differ from the truth (guarantee G3).

A summary is inexact after a cap was reached or a record was dead-lettered, and a trace that was evicted and came back
has several segments. The same rules as in the fold: duplicates count once (the view `events`), agents and types stand
by offset of first appearance, the first error is the earliest agent.error by (time, offset), its step counts from 1.
"""

from __future__ import annotations

from axonstream.summary_counters import COUNTED

# The columns as in `trace_queries`. `step` is an event's place in time, `arrival` its place in the log.
RECOMPUTED = """SELECT trace_id, count(), <counted>,
  toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at)),
  arraySort((name, at) -> at, (minMapIf([agent_id], [arrival], agent_id != '') AS seen_agents).1, seen_agents.2),
  arraySort((name, at) -> at, (minMap([event_type], [arrival]) AS seen_types).1, seen_types.2),
  (minIf((step, event_id, span_id, identifier, agent_id), event_type = 'agent.error') AS first_error).1,
  first_error.2, first_error.3, first_error.4, first_error.5, argMinIf(toString(environment), step, environment != ''),
  toUnixTimestamp64Milli(max(received_at))
FROM (
  SELECT trace_id, event_id, span_id, identifier, agent_id, event_type, occurred_at, received_at, environment,
    row_number() OVER (PARTITION BY trace_id ORDER BY occurred_at, _partition, _offset) AS step,
    row_number() OVER (PARTITION BY trace_id ORDER BY _topic_epoch, _partition, _offset) AS arrival
  FROM events WHERE tenant_id = {tenant:String} AND trace_id IN {traces:Array(String)}
)
GROUP BY trace_id""".replace("<counted>", COUNTED)

"""Millions of stored events, made by ClickHouse itself: rows as the sink stores them, and the same by time alone."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from benchmarks.measuring.installation import PARTITIONS

TABLE_BY_TIME = "events_by_time"
BLOCK = 250_000
_SCATTER = 2654435761  # odd, so that no two numbers below 2**32 have the same name
_DAY_MS = 24 * 3600 * 1000
_NOW_MS = 1_900_000_000_000  # 2030: no TTL reaches it
LAST_24_HOURS = f"fromUnixTimestamp64Milli(toInt64({_NOW_MS + _DAY_MS}), 'UTC')"  # when they begin, in SQL


def trace_name(number: int) -> str:
    """Of the `number`-th trace by time; names have no order, as those that the gateway makes."""
    return f"tr_{number * _SCATTER % (1 << 32):08x}"


def store_events(client: Client, database: str, events: int, traces: int) -> None:
    """`events` rows over two days, of `traces` traces that each last about a minute, and the summaries of them."""
    columns = (
        "tenant_id, trace_id, event_id, span_id, channel_id, agent_id, event_type, identifier, payload, dedup_key, "
        "source, occurred_at, received_at, _topic_epoch, _partition, _offset"
    )
    client.command(
        f"CREATE TABLE {database}.{TABLE_BY_TIME} AS {database}.events_log ENGINE = MergeTree ORDER BY occurred_at "
        "PARTITION BY toDate(received_at)"
    )
    client.command(f"ALTER TABLE {database}.{TABLE_BY_TIME} DROP PROJECTION IF EXISTS hourly")
    a_trace = events // traces
    for start in range(0, events, BLOCK):
        count = min(BLOCK, events - start)
        ms = f"{_NOW_MS} + intDiv(trace * {2 * _DAY_MS}, {traces}) + step * 2000"
        at = f"fromUnixTimestamp64Milli(toInt64({ms}), 'UTC')"
        client.command(
            f"INSERT INTO {database}.events_log ({columns}) "
            f"WITH number + {start} AS n, intDiv(n, {a_trace}) AS trace, n % {a_trace} AS step, {at} AS at "
            f"SELECT '1', concat('tr_', leftPad(lower(hex(toUInt32(trace * {_SCATTER} % 4294967296))), 8, '0')), "
            "n + 1, concat('sp_', hex(n)), 1, "
            "['planner', 'researcher', 'writer'][1 + n % 3], "
            "['agent.message', 'agent.tool_call.start', 'agent.tool_call.end', 'agent.handoff', 'agent.error']"
            "[1 + n * 7 % 5], 'web_search', concat('{\"query\":\"', repeat('x', 67), '\",\"n\":', toString(n), '}'), "
            f"leftPad(toString(n), 32, '0'), 'app', at, at, 1, trace % {PARTITIONS}, n FROM numbers({count})"
        )
    client.command(f"INSERT INTO {database}.{TABLE_BY_TIME} SELECT * FROM {database}.events_log")
    client.command(
        f"INSERT INTO {database}.trace_summaries (tenant_id, trace_id, first_offset, last_offset, event_count, "
        "error_count, tool_call_count, handoff_count, first_at, last_at, last_received_at, agents, event_types, "
        "first_error_event_id, first_error_step, first_error_span_id, first_error_identifier, first_error_agent_id, "
        "exact, _topic_epoch, _partition) "
        "SELECT tenant_id, trace_id, min(_offset), max(_offset), count(), countIf(event_type = 'agent.error'), "
        "countIf(event_type = 'agent.tool_call.start'), countIf(event_type = 'agent.handoff'), min(occurred_at), "
        "max(occurred_at), max(received_at), groupUniqArray(agent_id), groupUniqArray(event_type), 0, 0, '', '', '', "
        f"1, 1, any(_partition) FROM {database}.events_log GROUP BY tenant_id, trace_id"
    )

"""The views `traces` and `steps`: a run's status is that of the rule, and a window of time reads its hours."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client

from axonstream.clickhouse.client import connect_blocking
from axonstream.settings.settings import Settings
from axonstream.sinks.schema import migrate, read_migrations
from axonstream.steps import KINDS
from axonstream.verdict import VIEW_STATUS, status_sql, verdict
from kit.until import until

pytestmark = pytest.mark.services

STALL_MS = 300_000
COLUMNS = ["root_kind", "root_status", "open_count", "last_failed", "last_received_at"]


@pytest.fixture
def client(server_settings: Settings) -> Iterator[Client]:
    client = connect_blocking(server_settings)
    client.database = server_settings.clickhouse_database
    try:
        yield client
    finally:
        client.command(f"DROP DATABASE {server_settings.clickhouse_database}")
        client.close()


def test_the_status_in_sql_is_that_of_the_rule(client: Client) -> None:
    """Over what is random, and over all combinations at the edge of the stall."""
    now_ms = time.time_ns() // 1_000_000
    draw = random.Random(1)
    ages = (0, STALL_MS - 1, STALL_MS, STALL_MS + 1)
    statuses = ("open", "ok", "error", "abandoned")
    given = [
        (kind, status, opened, failed, now_ms - age)
        for kind in (*KINDS, "")
        for status in (statuses if kind else ("",))
        for opened in (0, 1, 300)
        for failed in (0, 1)
        for age in (*ages, draw.randrange(10 * STALL_MS))
    ]
    client.insert(
        "trace_summaries",
        [
            [str(at), *row[:4], datetime.fromtimestamp(row[4] // 1000, UTC).replace(microsecond=row[4] % 1000 * 1000)]
            for at, row in enumerate(given)
        ],
        column_names=["trace_id", *COLUMNS],
    )
    of_now = status_sql(f"fromUnixTimestamp64Milli({now_ms})", str(STALL_MS))
    found = {row[0]: row[1] for row in client.query(f"SELECT trace_id, {of_now} FROM traces").result_rows}
    assert found == {str(at): verdict(*row, now_ms, STALL_MS).status for at, row in enumerate(given)}

    away = "abs(dateDiff('ms', last_received_at, now64(3)) - 300000) > 60000"  # from the edge, while the clock moves
    same = client.query(f"SELECT countIf(status != {VIEW_STATUS}), count() FROM traces WHERE {away}").result_rows
    assert same[0][0] == 0 < same[0][1]
    told = client.query("SELECT DISTINCT status, outcome FROM traces ORDER BY status").result_rows
    assert told == [("failed", "failure"), ("ok", "success"), ("running", None), ("stalled", None)]


def test_the_segments_of_a_run_are_put_together(client: Client) -> None:
    client.command(
        """INSERT INTO trace_summaries (trace_id, first_offset, last_offset, error_count, root_kind, root_name,
        root_status, last_failed, open_count, open_steps, session_id, models, calls_with_tokens, input_tokens,
        output_tokens, priced_calls, cost_usd, slowest_step, slowest_ms, slowest_name, first_error_step,
        first_error_type) VALUES
        ('tr', 9, 12, 1, 'tool', 'second', 'ok', 0, 1, '[2]', 's2', ['b', 'a'], 1, 5, 7, 1, 0.2, 10, 30, 'slow', 1,
         'Late'),
        ('tr', 0, 8, 1, 'agent', 'first', 'ok', 1, 0, '[]', '', ['a', 'c'], 1, 1, 2, 1, 0.1, 4, 20, 'less', 2, 'Early'),
        ('none', 0, 8, 2, 'agent', 'first', 'ok', 0, 0, '[]', '', [], 0, 0, 0, 0, 0, -1, 0, '', 0, '')"""
    )
    found = client.query(
        "SELECT root_kind, root_name, open_count, open_steps, last_failed, session_id, models, input_tokens, "
        "total_tokens, toString(cost_usd), slowest_step, slowest_ms, slowest_name, first_error_type, recovered_errors "
        "FROM traces ORDER BY trace_id DESC"
    ).result_rows
    assert found == [
        ("agent", "first", 1, "[2]", 0, "s2", ["a", "c", "b"], 6, 15, "0.3", 10, 30, "slow", "Early", 0),
        ("agent", "first", 0, "[]", 0, "", [], None, None, None, None, None, "", "", 2),
    ]


def test_old_summaries_of_traces_that_may_have_steps_are_not_exact(server_settings: Settings, client: Client) -> None:
    settings = server_settings.model_copy(update={"clickhouse_database": f"{server_settings.clickhouse_database}_old"})
    every = read_migrations()
    migrate(settings, [one for one in every if one.version < 16])
    database = settings.clickhouse_database
    types = ["agent.start", "agent.tool_call.end", "agent.llm.start", "agent.error", "agent.message", "app.log"]
    try:
        client.command(
            f"INSERT INTO {database}.trace_summaries (trace_id, event_types, exact) "
            f"SELECT name, ['app.log', name], 1 FROM (SELECT arrayJoin({types}) AS name)"
        )
        migrate(settings, every)
        asked = "SELECT count() FROM system.mutations WHERE database = {database:String} AND NOT is_done"

        def is_done() -> bool:
            return client.query(asked, parameters={"database": database}).result_rows == [(0,)]

        asyncio.run(until(is_done, "the summaries are changed", 60))
        found = client.query(f"SELECT trace_id FROM {database}.traces WHERE exact ORDER BY trace_id").result_rows
        assert found == [("agent.message",), ("app.log",)]
    finally:
        client.command(f"DROP DATABASE {database}")


@pytest.mark.parametrize("column", ["arrived_at", "started_at"])
def test_a_window_of_time_reads_the_hours_of_its_tenant(column: str, client: Client) -> None:
    """A week of three tenants; the window is of three hours in the middle. Without its index all of the tenant is read.

    Some steps have two versions, so that FINAL has something to replace.
    """
    days, rows, hour_ms = 7, 120_000, 3_600_000
    begin = (time.time_ns() // 1_000_000 // (24 * hour_ms) - days) * 24 * hour_ms
    columns = "tenant_id, trace_id, step, version, kind, name, arrived_at, started_at, status"
    for day in range(days):
        for version, every in ((0, 1), (1, 7)):
            client.command(
                f"INSERT INTO steps_log ({columns}) "
                "SELECT toString(number % 3), 'tr_' || toString(intDiv(number, 10)), "
                f"number + {day * rows}, {day * rows} + number + {version}, ['agent', 'tool', 'llm'][1 + number % 3], "
                f"'name', at, at - toIntervalMillisecond(number % 5000), ['open', 'ok'][1 + {version}] FROM ("
                f"SELECT number * {every} AS number, fromUnixTimestamp64Milli(toInt64({begin + day * 24 * hour_ms} + "
                f"number * {24 * hour_ms // rows})) AS at FROM numbers(intDiv({rows}, {every})))"
            )
    since = begin + 3 * 24 * hour_ms + 10 * hour_ms
    window = (
        f"{column} >= fromUnixTimestamp64Milli({since}) AND {column} < fromUnixTimestamp64Milli({since + 3 * hour_ms})"
    )
    sql = f"SELECT count(), countIf(status = 'ok'), uniqExact(step) FROM steps WHERE tenant_id = '1' AND {window}"
    ((count, ended, steps),) = client.query(sql).result_rows
    assert count == steps == pytest.approx(rows / 8 / 3, rel=0.01)
    assert ended == pytest.approx(count / 7, rel=0.1)
    plan = client.query(f"EXPLAIN indexes = 1, json = 1 {sql}").result_rows
    found = re.findall(r'"Initial Granules": (\d+),\s+"Selected Granules": (\d+)', plan[0][0])
    read, of = int(found[-1][1]), int(found[0][0])
    assert of >= 2 * days * 8
    assert read <= 12, found

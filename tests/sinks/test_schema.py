"""Migrations are applied once, may be repeated, and do not change once they were applied."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from axonstream.clickhouse.client import connect_blocking
from axonstream.gateway.reading.event_queries import EventFilter, events_page_sql
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import MigrationError
from axonstream.sinks.schema import Migration, migrate, read_migrations
from axonstream.sinks.shown_schema import SCHEMA, schema_text
from kit.until import until

HOUR_MS = 3_600_000


def test_the_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    assert [migration.version for migration in read_migrations()] == list(range(1, len(read_migrations()) + 1))
    (tmp_path / "0002_second.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="without a gap"):
        read_migrations(tmp_path)
    (tmp_path / "first.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="0001_name"):
        read_migrations(tmp_path)


def test_every_statement_may_run_again() -> None:
    again = ("IF NOT EXISTS", "IF EXISTS", "MODIFY SETTING", "CREATE OR REPLACE VIEW", "UPDATE exact = 0")
    for migration in read_migrations():
        for statement in migration.statements(dict.fromkeys(names(migration.text), "x")):
            assert any(words in statement for words in again)


def names(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("${")[1:]]


@pytest.mark.services
def test_a_crash_between_a_migration_and_its_record_is_repaired(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    try:
        client.command(f"TRUNCATE TABLE {database}.schema_migrations")
        migrate(server_settings)
        migrate(server_settings)
        recorded = client.query(f"SELECT version FROM {database}.schema_migrations ORDER BY version").result_rows
        assert [row[0] for row in recorded] == [migration.version for migration in read_migrations()]
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()


@pytest.mark.services
def test_a_changed_or_unknown_migration_is_refused_and_a_new_one_applied(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    known = read_migrations()
    changed = Migration(known[-1].version, known[-1].name, known[-1].text + "\n-- changed")
    new = Migration(len(known) + 1, "more", "CREATE TABLE IF NOT EXISTS ${database}.more (a UInt8) ENGINE = Memory;")
    try:
        with pytest.raises(MigrationError, match=f"{len(known) + 1:04d}_<name>.sql"):
            migrate(server_settings, [*known[:-1], changed])
        migrate(server_settings, [*known, new])
        with pytest.raises(MigrationError, match="newer version"):
            migrate(server_settings, known)
        migrate(server_settings, [*known, new])
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()


@pytest.mark.services
def test_the_schema_that_is_shown_is_what_the_migrations_make(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    try:
        assert schema_text(client, server_settings.clickhouse_database) == SCHEMA.read_text(), "run `make docs`"
    finally:
        client.command(f"DROP DATABASE {server_settings.clickhouse_database}")
        client.close()


@pytest.mark.services
def test_a_ttl_of_the_settings_reaches_a_table_that_exists(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    try:
        migrate(server_settings.model_copy(update={"events_ttl_days": 7}))
        assert "toIntervalDay(7)" in str(client.command(f"SHOW CREATE TABLE {database}.events_log"))
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()


@pytest.mark.services
def test_a_tenant_and_trace_reach_the_primary_key_through_the_views(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    try:
        client.command(
            f"INSERT INTO {database}.events_log (tenant_id, trace_id, event_id, occurred_at, received_at, _offset) "
            "SELECT toString(number % 10), 'tr_' || toString(number), number, now64(3), now64(3), number "
            "FROM numbers(100000)"
        )
        client.command(
            f"INSERT INTO {database}.trace_summaries (tenant_id, trace_id, last_received_at) "
            "SELECT toString(number % 10), 'tr_' || toString(number), now64(3) FROM numbers(100000)"
        )
        for view in ("events", "traces"):
            plan = client.query(
                f"EXPLAIN indexes = 1 SELECT * FROM {database}.{view} WHERE tenant_id = '5' AND trace_id = 'tr_5'"
            ).result_rows
            lines = [row[0].strip(" │└─") for row in plan]
            key = next(at for at, line in enumerate(lines) if line == "PrimaryKey")
            granules = next(line for line in lines[key:] if line.startswith("Granules:"))
            read, of = map(int, granules.removeprefix("Granules:").split("/"))
            assert (read, of > 10) == (1, True), (view, granules)
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()


@pytest.mark.services
def test_a_window_of_shown_times_reads_the_granules_of_that_time_also_of_rows_that_were_there_before(
    server_settings: Settings,
) -> None:
    """The SQL is that of `GET /events?since=&until=`; without the index each row of the tenant was looked at."""
    settings = server_settings.model_copy(update={"clickhouse_database": f"{server_settings.clickhouse_database}_old"})
    every = read_migrations()
    migrate(settings, [one for one in every if one.version < 14])
    client = connect_blocking(settings)
    database = settings.clickhouse_database
    now_ms, days = time.time_ns() // 1_000_000, 12
    condition, given = EventFilter(since_ms=now_ms - 30 * HOUR_MS, until_ms=now_ms - 20 * HOUR_MS).condition()
    given |= {"tenant": "1", "window": 0, "limit": 100}
    sql = events_page_sql(condition).replace("FROM events_log", f"FROM {database}.events_log")

    def granules() -> tuple[int, int]:
        """Those that are read, and all."""
        plan = client.query(f"EXPLAIN indexes = 1, json = 1 {sql}", parameters=given).result_rows
        found = re.findall(r'"Initial Granules": (\d+),\s+"Selected Granules": (\d+)', plan[0][0])
        return int(found[-1][1]), int(found[0][0])

    try:
        for day in range(days):  # a part each, as they have a partition by day
            client.command(
                f"INSERT INTO {database}.events_log (tenant_id, trace_id, event_id, occurred_at, received_at, _offset) "
                f"SELECT '1', 'tr_' || toString(sipHash64(number)), number, at, at, number FROM (SELECT number, "
                f"fromUnixTimestamp64Milli({now_ms - day * 24 * HOUR_MS} - toInt64(number)) AS at FROM numbers(20000))"
            )
        read, of = granules()
        assert read == of >= 2 * days, "all is read where nothing says which times are in a part"
        migrate(settings, every)
        asyncio.run(until(lambda: granules()[0] < of / days * 3, "existing parts have the index", 60))
        found = client.query(sql, parameters=given).result_rows
        assert len(found) == 100
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()


WITH_THE_SETTING = {"events_log", "trace_summaries", "steps_log", "dead_letters"}
ALWAYS = {"schema_migrations", "topic_epochs", "installation", "lost_ends", "dead_letter_decisions"}
MADE_AGAIN = {"absent_offsets", "finished_deletions"}  # from Kafka, by whoever finds that they are missing


def on_disk(client: Client, database: str) -> set[str]:
    """The tables whose INSERTs are on the disk when they are acknowledged: the files, and their directory."""
    found: set[str] = set()
    for (table,) in client.query(
        f"SELECT name FROM system.tables WHERE database = '{database}' AND engine LIKE '%MergeTree'"
    ).result_rows:
        made = str(client.command(f"SHOW CREATE TABLE {database}.{table}"))
        both = ["fsync_after_insert = 1" in made, "fsync_part_directory = 1" in made]
        assert len(set(both)) == 1, made
        found |= {table} if all(both) else set()
    return found


@pytest.mark.services
def test_new_and_old_tables_write_to_the_disk_as_the_setting_says_and_back(server_settings: Settings) -> None:
    """Of what nothing else has, always: a power cut that took the database's name had its commits refused."""
    synced = server_settings.model_copy(update={"fsync_after_insert": True})
    new = synced.model_copy(update={"clickhouse_database": f"new_{server_settings.clickhouse_database}"})
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    try:
        assert on_disk(client, database) == ALWAYS
        migrate(new)
        assert on_disk(client, new.clickhouse_database) == ALWAYS | WITH_THE_SETTING
        migrate(synced)
        migrate(synced)
        assert on_disk(client, database) == ALWAYS | WITH_THE_SETTING
        every = client.query(
            f"SELECT name FROM system.tables WHERE database = '{database}' AND engine LIKE '%MergeTree'"
        ).result_rows
        assert {row[0] for row in every} == ALWAYS | WITH_THE_SETTING | MADE_AGAIN, "where does a new table belong?"
        migrate(server_settings)
        assert on_disk(client, database) == ALWAYS
    finally:
        for name in (database, new.clickhouse_database):
            client.command(f"DROP DATABASE IF EXISTS {name}")
        client.close()

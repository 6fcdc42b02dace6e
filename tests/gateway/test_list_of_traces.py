"""A page of the list of traces reads what it shows, also from rows that are older than the projection that does it."""

from __future__ import annotations

import pytest

from axonstream.clickhouse.client import connect_blocking
from axonstream.gateway.reading.trace_queries import PAGE_IDS
from axonstream.settings.settings import Settings
from axonstream.sinks.schema import read_migrations

TRACES = "SELECT hex(sipHash64(number)) FROM numbers(500000) WHERE number % 10 = 5 ORDER BY number DESC"


@pytest.mark.services
def test_a_page_of_traces_reads_few_rows_however_many_there_are(server_settings: Settings) -> None:
    client = connect_blocking(server_settings)
    database = server_settings.clickhouse_database
    values = {"database": f"`{database}`", "on_cluster": ""}
    migration = next(found for found in read_migrations() if found.name == "0010_traces_by_activity")
    try:
        client.command(f"ALTER TABLE {database}.trace_summaries DROP PROJECTION by_activity")
        client.command(
            f"INSERT INTO {database}.trace_summaries (tenant_id, trace_id, last_received_at) "
            "SELECT toString(number % 10), hex(sipHash64(number)), toDateTime64(1900000000 + number, 3) "
            "FROM numbers(500000)"
        )
        for statement in migration.statements(values):
            client.command(statement, settings={"mutations_sync": 1})
        page = client.query(
            PAGE_IDS.replace("trace_summaries", f"{database}.trace_summaries"),
            parameters={"tenant": "5", "limit": 20, "offset": 40},
            settings={"wait_end_of_query": 1},
        )
        assert [row[:1] for row in page.result_rows] == client.query(f"{TRACES} LIMIT 20 OFFSET 40").result_rows
        assert int(page.summary["read_rows"]) < 50_000
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()

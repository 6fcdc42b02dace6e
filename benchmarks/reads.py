"""Reads on 5 million events of 200,000 traces, at 1 and 8 clients, against a table ordered by time alone.

Both tables hold the same rows in the same columns. The product's answers go through its gateway, with the wait for
visibility; the other table is asked in SQL by clickhouse-connect, which saves it the HTTP interface.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from statistics import quantiles
from time import monotonic

import httpx
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect, connect_blocking
from axonstream.settings.settings import Settings
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.pipeline import running_pipeline
from benchmarks.measuring.plan import Plan, read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.servers import servers
from benchmarks.measuring.stored_by_sql import LAST_24_HOURS, TABLE_BY_TIME, store_events, trace_name

HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
OURS, BY_TIME = "axonstream", "ordered by time"
CLIENTS = (1, 8)
TIMES = {OURS: {1: 40, 8: 10}, BY_TIME: {1: 5, 8: 1}}  # questions of each client
ERRORS_BY_AGENT = (
    "SELECT agent_id, {count} AS errors FROM {table} WHERE tenant_id = '1' AND event_type = 'agent.error' "
    "AND {at} >= {since} GROUP BY agent_id"
)
EACH_KEY_ONCE = "uniqExactIf(event_id, dedup_key != '') + countIf(dedup_key = '')"
FILTERED = "event_count >= 10 AND error_count > 0"

Ask = Callable[[int], Awaitable[int]]


def summaries_of(where: str) -> str:
    """A summary a trace from the events of the other table."""
    return (
        "SELECT trace_id, count() AS event_count, countIf(event_type = 'agent.error') AS error_count, "
        "countIf(event_type = 'agent.tool_call.start') AS tool_call_count, min(occurred_at), max(occurred_at), "
        f"max(received_at) AS last_received_at, groupUniqArray(agent_id) FROM {TABLE_BY_TIME} "
        f"WHERE tenant_id = '1' {where} GROUP BY trace_id"
    )


def questions(http: httpx.AsyncClient, sql: AsyncClient, traces: int) -> dict[str, tuple[Ask, Ask]]:
    """Name -> how the product is asked, how the other table is asked; both return how many rows they got."""
    page = 20
    deep = traces // page // 2

    async def get(path: str) -> int:
        answer = await http.get(path)
        answer.raise_for_status()
        found = answer.json()
        return len(found) if isinstance(found, list) else 1

    async def rows(text: str) -> int:
        return len((await sql.query(text)).result_rows)

    chance = random.Random(1)

    def one() -> str:  # another one each time: ClickHouse remembers which granules a condition did not match
        return trace_name(chance.randrange(traces))

    def by_activity(offset: int, having: str = "") -> str:
        return f"{summaries_of('')} {having} ORDER BY last_received_at DESC, trace_id DESC LIMIT {page} OFFSET {offset}"

    def errors(table: str) -> str:
        return ERRORS_BY_AGENT.format(count=EACH_KEY_ONCE, table=table, at="occurred_at", since=LAST_24_HOURS)

    def errors_by_hour(table: str) -> str:
        hour = "toStartOfHour(occurred_at)"
        return ERRORS_BY_AGENT.format(count="count()", table=table, at=hour, since=f"toStartOfHour({LAST_24_HOURS})")

    # Which traces is asked of two columns, and all columns of those 20 alone: the view would add up every trace.
    which = (
        "SELECT trace_id FROM trace_summaries FINAL WHERE tenant_id = '1' GROUP BY trace_id "
        "HAVING sum(event_count) >= 10 AND sum(error_count) > 0 "
        f"ORDER BY max(last_received_at) DESC, trace_id DESC LIMIT {page}"
    )
    listed = f"SELECT * FROM traces WHERE tenant_id = '1' AND trace_id IN ({which}) ORDER BY last_received_at DESC"
    return {
        "trace by id": (
            lambda _: get(f"/traces/{one()}/events"),
            lambda _: rows(
                f"SELECT * FROM {TABLE_BY_TIME} WHERE tenant_id = '1' AND trace_id = '{one()}' ORDER BY occurred_at"
            ),
        ),
        "summary": (
            lambda _: get(f"/traces/{one()}/summary?events=0"),
            lambda _: rows(summaries_of(f"AND trace_id = '{one()}'")),
        ),
        "list of 20": (lambda _: get(f"/traces?limit={page}"), lambda _: rows(by_activity(0))),
        "list of 20, filtered (SQL)": (
            lambda _: rows(listed),
            lambda _: rows(by_activity(0, f"HAVING {FILTERED}")),
        ),
        "deep page": (
            lambda _: get(f"/traces?limit={page}&page={deep}"),
            lambda _: rows(by_activity(deep * page)),
        ),
        "errors by agent, 24 h by the hour (SQL)": (
            lambda _: rows(errors_by_hour("events_log")),
            lambda _: rows(errors_by_hour(TABLE_BY_TIME)),
        ),
        "errors by agent, 24 h, keys once (SQL)": (
            lambda _: rows(errors("events_log")),
            lambda _: rows(errors(TABLE_BY_TIME)),
        ),
    }


async def ask(question: Ask, clients: int, times: int) -> tuple[dict[str, float], int]:
    """Percentiles in ms over all clients, and the rows of the first answer."""
    took: list[float] = []
    first = await question(0)  # not counted: it opens the connections

    async def client(number: int) -> None:
        for turn in range(times):
            started = monotonic()
            await question(1 + number * times + turn)
            took.append((monotonic() - started) * 1000)

    await asyncio.gather(*(client(number) for number in range(clients)))
    cuts = quantiles(took, n=20)
    return {"p50 ms": cuts[9], "p95 ms": cuts[18]}, first


async def measure(plan: Plan, results: Results, settings: Settings, port: int, traces: int) -> None:
    sql = await connect(settings)
    sql.set_client_setting("use_query_condition_cache", 0)  # the same condition is asked again and again here alone
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=60) as http:
        for _ in range(plan.rounds):
            for name, (ours, theirs) in questions(http, sql, traces).items():
                for clients in CLIENTS:
                    rows: list[int] = []
                    for subject, question in ((OURS, ours), (BY_TIME, theirs)):
                        try:
                            values, found = await ask(question, clients, plan.size(TIMES[subject][clients], 2))
                        except (httpx.HTTPError, *CLICKHOUSE_ERRORS) as error:  # the row says so: it does not count
                            results.add(f"{name}, {subject}, {clients} c.", {}, repr(error)[:120])
                            continue
                        rows.append(found)
                        wrong = "" if found == rows[0] else f"{found} rows, not {rows[0]}"
                        results.add(f"{name}, {subject}, {clients} c.", values, wrong)
    await sql.close()


def main() -> None:
    plan = read_plan(__doc__)
    events, traces = plan.size(5_000_000, 100_000), plan.size(200_000, 4_000)
    configuration = {"events": events, "traces": traces, "partitions": PARTITIONS, "rounds": plan.rounds}
    with servers() as at, running_pipeline(Installation(at)) as pipeline:
        settings = pipeline.installation.settings
        client = connect_blocking(settings)
        store_events(client, settings.clickhouse_database, events, traces)
        results = Results("reads", "questions of stored traces", plan, configuration)
        asyncio.run(measure(plan, results, settings, pipeline.port, traces))
        client.command(f"DROP DATABASE {settings.clickhouse_database}")
        client.close()
    for row in dict.fromkeys(measured.subject for measured in results.measured):
        if f", {OURS}, 1 c." in row:
            results.below("p95 ms", row, 100 if "errors" in row else 60)
            results.at_most("p95 ms", row, row.replace(OURS, BY_TIME), 1.0)
    results.write()


if __name__ == "__main__":
    main()

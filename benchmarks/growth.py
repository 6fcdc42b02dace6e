"""Whether cost grows with what is there: processor and sink over 1M and over 5M events, reads of 1M and of 5M."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import httpx

from axonstream.clickhouse.client import connect, connect_blocking
from axonstream.contract.event_record import EventRecord
from benchmarks.measuring.filled_topic import delete_topics, fill_topic, make_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.pipeline import running_pipeline
from benchmarks.measuring.plan import Plan, read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES, sample_records
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.stored_by_sql import store_events
from benchmarks.processor import OURS as PROCESSOR
from benchmarks.processor import Log, Subject, fold_turn
from benchmarks.reads import HEADERS, ask, questions
from benchmarks.sink import OURS as SINK
from benchmarks.sink import turn as store_turn

EVENTS_A_TRACE = 25


def noting_traces(records: Iterable[EventRecord], seen: set[str]) -> Iterator[EventRecord]:
    """The same records; their traces are added to `seen`."""
    for record in records:
        seen.add(record.trace_id)
        yield record


async def parts(at: Servers, count: int, results: Results) -> None:
    """Processor and sink over a topic of `count` events."""
    events = f"{Installation(at).topics.events}-shared"
    await make_topic(at.kafka, events)
    seen: set[str] = set()
    await fill_topic(at.kafka, events, noting_traces(sample_records(count), seen))
    log = Log(at, events, count, len(seen))
    growth, _, wrong = await fold_turn(Subject(PROCESSOR, "", None, watermarks=True, most=count), log)
    results.add(f"{PROCESSOR}, {count:,}", {"CPU us/event": growth.cpu_s / (count * growth.share) * 1e6}, wrong)
    values, wrong = await asyncio.to_thread(store_turn, SINK, Installation(at, events), count)
    results.add(f"{SINK}, {count:,}", values, wrong)
    await delete_topics(at.kafka, [events])


async def reads(port: int, installation: Installation, plan: Plan, count: int, results: Results) -> None:
    """The questions of `reads.py`, of the product alone."""
    traces = count // EVENTS_A_TRACE
    sql = await connect(installation.settings)
    sql.set_client_setting("use_query_condition_cache", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=60) as http:
        for name, (ours, _) in questions(http, sql, traces).items():
            values, _ = await ask(ours, 1, plan.size(40, 2))
            results.add(f"{name}, {count:,}", values)
    await sql.close()


def main() -> None:
    plan = read_plan(__doc__)
    small, large = plan.size(1_000_000, 20_000), plan.size(5_000_000, 40_000)
    configuration = {"traces": TRACES, "events a stored trace": EVENTS_A_TRACE, "partitions": PARTITIONS, "rounds": 1}
    with servers() as at:
        results = Results("growth", "cost at 1M and at 5M events", plan, configuration)
        for count in (small, large):
            asyncio.run(parts(at, count, results))
            with running_pipeline(Installation(at)) as pipeline:
                settings = pipeline.installation.settings
                client = connect_blocking(settings)
                store_events(client, settings.clickhouse_database, count, count // EVENTS_A_TRACE)
                asyncio.run(reads(pipeline.port, pipeline.installation, plan, count, results))
                client.command(f"DROP DATABASE {settings.clickhouse_database}")
                client.close()
    for row in dict.fromkeys(measured.subject for measured in results.measured):
        if row.endswith(f", {large:,}"):
            before = row.replace(f", {large:,}", f", {small:,}")
            if row.startswith((PROCESSOR, SINK)):
                results.at_most("CPU us/row" if row.startswith(SINK) else "CPU us/event", row, before, 1.25)
            else:
                results.at_most("p50 ms", row, before, 2)
    results.write()


if __name__ == "__main__":
    main()

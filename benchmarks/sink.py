"""The sink, with validation and ledger, against the columns way through clickhouse-connect and against inserting alone.

All store the same topic in the same schema, each in a database of its own. The clock runs from the moment that a
subject is ready to fetch until ClickHouse counts every event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, sleep

from clickhouse_connect.driver.client import Client

from axonstream.clickhouse.client import connect_blocking
from axonstream.sinks.worker import FETCH_BYTES
from benchmarks.measuring.filled_topic import delete_topics, fill_topic, make_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES, sample_records
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.subject_process import SubjectProcess, subject_process
from benchmarks.peers.job import GC_THRESHOLDS, SinkJob, job_text

OURS = "axonstream sink"
COLUMNS = "orjson -> Native columns"
ALONE = "insert alone (ceiling)"
MODULES = {OURS: "", COLUMNS: "benchmarks.peers.columns_sink", ALONE: "benchmarks.peers.insert_alone"}
POLL_S = 0.02
DEADLINE_S = 300.0
INSERT_SETTINGS = {"async_insert": 0, "insert_deduplicate": 0}


@contextmanager
def running(subject: str, installation: Installation) -> Generator[SubjectProcess]:
    """The subject, about to fetch."""
    if not MODULES[subject]:
        with installation.part("sink") as process:
            process.until_line("ready sink")
            yield process
        return
    settings = installation.settings
    job = SinkJob(
        kafka=settings.kafka_bootstrap_servers,
        clickhouse=settings.clickhouse_url,
        database=settings.clickhouse_database,
        group=f"{settings.topic_prefix}peer",
        events=installation.events,
        partitions=PARTITIONS,
        max_rows=settings.sink_max_rows,
        fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=settings.sink_max_bytes,
        settings=INSERT_SETTINGS,
    )
    with subject_process(["-m", MODULES[subject], job_text(job)]) as process:
        process.until_line("ready")
        yield process


def turn(subject: str, installation: Installation, count: int) -> tuple[dict[str, float], str]:
    """Rows a second and CPU a row, and what is wrong with what was stored."""
    installation.initialise()
    database = installation.settings.clickhouse_database
    client = connect_blocking(installation.settings)
    try:
        with running(subject, installation) as process:
            started, cpu = monotonic(), process.cpu_s()
            while _count(client, f"SELECT count() FROM {database}.events_log") < count:
                if monotonic() - started > DEADLINE_S or not process.running():
                    return {}, "not everything was stored"
                sleep(POLL_S)
            seconds, cpu = monotonic() - started, process.cpu_s() - cpu
        rows = _count(client, f"SELECT count() FROM {database}.events_log")
        distinct = _count(client, f"SELECT uniqExact(_partition, _offset) FROM {database}.events_log")
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()
    wrong = "" if rows == distinct == count else f"{rows} rows, {distinct} distinct, of {count}"
    return {"rows/s": count / seconds, "CPU us/row": cpu / count * 1e6}, wrong


def _count(client: Client, sql: str) -> int:
    return client.query(sql).result_rows[0][0]


async def _fill(at: Servers, events: str, count: int) -> None:
    await make_topic(at.kafka, events)
    await fill_topic(at.kafka, events, sample_records(count))


def main() -> None:
    plan = read_plan(__doc__)
    count = plan.size(1_000_000, 50_000)
    with servers() as at:
        events = f"{Installation(at).topics.events}-shared"
        asyncio.run(_fill(at, events, count))
        settings = Installation(at).settings
        configuration = {
            "events": count,
            "traces": TRACES,
            "partitions": PARTITIONS,
            "rounds": plan.rounds,
            "gc": GC_THRESHOLDS,
            "loop": "uvloop",
            "fetch bytes a partition": FETCH_BYTES,
            "rows an insert, at most": settings.sink_max_rows,
            "bytes a fetch, at most": settings.sink_max_bytes,
            "compression": "none",
            "inserts": INSERT_SETTINGS,
        }
        results = Results("sink", "topic to acknowledged insert", plan, configuration)
        for _ in range(plan.rounds):
            for subject in MODULES:
                installation = Installation(at, events)
                try:
                    values, wrong = turn(subject, installation, count)
                except RuntimeError as error:
                    values, wrong = {}, str(error)
                results.add(subject, values, wrong)
        asyncio.run(delete_topics(at.kafka, [events]))
    results.at_most("CPU us/row", OURS, COLUMNS, 0.6)
    results.at_least("rows/s", OURS, ALONE, 0.7)
    results.write()


if __name__ == "__main__":
    main()

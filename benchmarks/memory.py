"""Memory: a processor with a million live traces, and gateway and sink while ClickHouse is away under load.

The traces have one event each. ClickHouse is away by being stopped (SIGSTOP): connections hang, nothing is refused. It
is a server of this benchmark's own.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from time import monotonic, sleep

import orjson

from axonstream.clickhouse.client import connect_blocking
from axonstream.local.free_ports import free_port
from benchmarks.measuring.filled_topic import ends_of, fill_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.output_watch import DEADLINE_S, watching
from benchmarks.measuring.pipeline import running_pipeline
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import NOW_MS, sample_record, trace_id
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.subject_process import subject_process
from benchmarks.peers.job import LoadJob, job_text

OURS = "axonstream processor"
DICTS = "plain dicts"
AWAY = "ClickHouse away"
LOAD_A_SECOND = 2000
A_REQUEST = 100
SETTLED_S = 10.0  # from the start of the outage until buffers have filled as far as they may


async def processor_bytes(at: Servers, traces: int) -> tuple[dict[str, float], str]:
    """Bytes a live trace, from the processor's memory before and after it has folded them."""
    installation = Installation(at)
    await asyncio.to_thread(installation.initialise)
    consumer, watch = await watching(at.kafka, installation.topics.summaries)
    live = {"AXONSTREAM_MAX_LIVE_TRACES": str(2 * traces), "AXONSTREAM_TRACE_IDLE_S": "86400"}
    try:
        with installation.part("processor", **live) as process:
            await asyncio.to_thread(process.until_line, "ready processor")
            before = process.rss_bytes()
            records = (sample_record(number, trace_id(number), NOW_MS) for number in range(traces))
            await fill_topic(at.kafka, installation.events, records)
            ends = await ends_of(consumer, installation.events)
            async with asyncio.timeout(DEADLINE_S):
                while await watch.folded() != ends:
                    await asyncio.sleep(0.2)
            grown = process.rss_bytes() - before
        counted = len(await watch.counts())
    finally:
        await consumer.stop()
    return {"bytes/trace": grown / traces}, "" if counted == traces else f"{counted} traces"


def dict_bytes(traces: int) -> dict[str, float]:
    with subject_process(["-m", "benchmarks.peers.dict_states", str(traces)]) as process:
        found = orjson.loads(process.until_line("{"))
    return {"bytes/trace": found["bytes"] / found["states"]}


def growth_while_away(at: Servers, seconds: int) -> tuple[dict[str, float], str]:
    """How much gateway and sink grew from SETTLED_S into the outage until its end; all must be stored afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = ["-m", "axonstream.cli.main", "clickhouse", "--data-dir", directory, "--port", str(port)]
        with subject_process(command) as clickhouse:
            clickhouse.until_line("ready clickhouse")
            installation = Installation(Servers(at.kafka, f"http://127.0.0.1:{port}"))
            with running_pipeline(installation) as pipeline:
                requests = LOAD_A_SECOND * (seconds + 10) // A_REQUEST
                job = LoadJob(pipeline.port, "/events", 4, requests, A_REQUEST, LOAD_A_SECOND)
                with subject_process(["-m", "benchmarks.measuring.http_load", job_text(job)]) as generator:
                    generator.until_line("loading")
                    measured = {name: pipeline.parts[name] for name in ("gateway", "sink")}
                    clickhouse.send(signal.SIGSTOP)
                    sleep(min(SETTLED_S, seconds / 2))
                    before = {name: process.memory_info().rss for name, process in measured.items()}
                    most = dict(before)
                    ends = monotonic() + seconds - min(SETTLED_S, seconds / 2)
                    while monotonic() < ends:
                        most = {name: max(most[name], process.memory_info().rss) for name, process in measured.items()}
                        sleep(0.2)
                    clickhouse.send(signal.SIGCONT)
                    load = orjson.loads(generator.until_line("{"))
                stored = _stored(installation, requests * A_REQUEST)
    values = {f"{name} grows MB": (most[name] - before[name]) / 1e6 for name in before}
    right = stored == requests * A_REQUEST and not load["refused"]
    return values, "" if right else f"{stored} of {requests * A_REQUEST} stored, {load['refused']} refused"


def _stored(installation: Installation, expected: int) -> int:
    """Rows, once they are as many as expected, or the deadline is over."""
    client = connect_blocking(installation.settings)
    deadline = monotonic() + DEADLINE_S
    while True:
        sql = f"SELECT count() FROM {installation.settings.clickhouse_database}.events_log"
        rows = client.query(sql).result_rows[0][0]
        if rows >= expected or monotonic() > deadline:
            client.close()
            return rows
        sleep(0.1)


def main() -> None:
    plan = read_plan(__doc__)
    traces, seconds = plan.size(1_000_000, 50_000), plan.size(60, 5)
    configuration = {
        "live traces": traces,
        "events/s while ClickHouse is away": LOAD_A_SECOND,
        "seconds away": seconds,
        "partitions": PARTITIONS,
        "rounds": plan.rounds,
    }
    with servers() as at:
        results = Results("memory", "live traces, and an outage", plan, configuration)
        for _ in range(plan.rounds):
            results.add(OURS, *asyncio.run(processor_bytes(at, traces)))
            results.add(DICTS, dict_bytes(traces))
            results.add(AWAY, *growth_while_away(at, seconds))
    results.below("bytes/trace", OURS, 700)
    results.below("gateway grows MB", AWAY, 20)
    results.below("sink grows MB", AWAY, 100)
    results.write()


if __name__ == "__main__":
    main()

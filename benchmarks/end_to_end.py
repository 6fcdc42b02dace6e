"""`POST /events` until visible, at a steady pace, with the whole embedded stack and the load generator on this machine.

Visible means what it means to a reader: stored in ClickHouse and folded into the summaries that are stored. The lag is
what Kafka has acknowledged and no reader sees yet. Which part used how much CPU is in the table.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson

from axonstream.clickhouse.client import connect_blocking
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets
from benchmarks.measuring.http_load import Load
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.pipeline import Pipeline, running_pipeline
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES
from benchmarks.measuring.servers import servers
from benchmarks.measuring.subject_process import SubjectProcess, subject_process
from benchmarks.peers.job import LoadJob, job_text

OURS = "whole stack"
WANTED = 15_000
A_REQUEST = 500
CONNECTIONS = 8
LOOK_S = 0.5
CATCH_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Steady:
    """Events that were not visible yet, at every look; `drain_s` is from the last answer until all were."""

    load: Load
    lags: list[int]
    drain_s: float
    visible: int


async def under_load(pipeline: Pipeline, generator: SubjectProcess) -> Steady:
    offsets = PipelineOffsets(pipeline.installation.settings)
    lags: list[int] = []
    answer = asyncio.ensure_future(asyncio.to_thread(generator.until_line, "{"))
    loop = asyncio.get_running_loop()
    try:
        while not answer.done():
            lags.append(await _lag(offsets))
            await asyncio.sleep(LOOK_S)
        load = Load(**orjson.loads(await answer))
        ended = loop.time()
        async with asyncio.timeout(CATCH_UP_S):
            while await _lag(offsets):
                await asyncio.sleep(0.02)
        return Steady(load, lags, loop.time() - ended, sum((await offsets.visible()).values()))
    finally:
        await offsets.close()


async def _lag(offsets: PipelineOffsets) -> int:
    ends, visible = await offsets.ends(), await offsets.visible()
    return sum(ends.values()) - sum(visible.values())


def turn(installation: Installation, events_a_second: int, seconds: int) -> tuple[dict[str, float], str]:
    """What was sustained, what lagged, who used the CPU, and what is wrong with what was stored."""
    requests = events_a_second * seconds // A_REQUEST
    count = requests * A_REQUEST
    database = installation.settings.clickhouse_database
    with running_pipeline(installation) as pipeline:
        job = LoadJob(pipeline.port, "/events", CONNECTIONS, requests, A_REQUEST, events_a_second)
        with subject_process(["-m", "benchmarks.measuring.http_load", job_text(job)]) as generator:
            generator.until_line("loading")
            before = pipeline.cpu_s()
            steady = asyncio.run(under_load(pipeline, generator))
        used = {name: cpu - before[name] for name, cpu in pipeline.cpu_s().items()}
        client = connect_blocking(installation.settings)
        stored, counted = (
            client.query(f"SELECT {what} FROM {database}.{table}").result_rows[0][0]
            for what, table in (("count()", "events_log"), ("sum(event_count)", "traces"))
        )
        client.command(f"DROP DATABASE {database}")
        client.close()
    quarter = max(1, len(steady.lags) // 4)
    early, late = steady.lags[quarter : 2 * quarter], steady.lags[-quarter:]
    used["generator"] = steady.load.cpu_s
    values = {
        "events/s acknowledged": count / steady.load.seconds,
        "events/s visible": count / (steady.load.seconds + steady.drain_s),
        "request p99 ms": steady.load.p99_ms,
        "lag, 2nd quarter": sum(early) / max(1, len(early)),
        "lag, last quarter": sum(late) / len(late),
        "drain s": steady.drain_s,
        **{
            f"CPU us/event {name}": cpu / count * 1e6 for name, cpu in (*used.items(), ("generator", steady.load.cpu_s))
        },
    }
    wrong = "" if not steady.load.refused and stored == counted == count else f"{stored} stored, {counted} counted"
    return values, wrong


def main() -> None:
    plan = read_plan(__doc__)
    pace, seconds = plan.size(WANTED, 3000), plan.size(120, 6)
    configuration = {
        "offered events/s": pace,
        "seconds": seconds,
        "events a request": A_REQUEST,
        "connections": CONNECTIONS,
        "traces": TRACES,
        "partitions": PARTITIONS,
        "rounds": plan.rounds,
    }
    with servers() as at:
        results = Results("end_to_end", "POST /events until visible", plan, configuration)
        for _ in range(plan.rounds):
            try:
                values, wrong = turn(Installation(at), pace, seconds)
            except TimeoutError:
                values, wrong = {}, f"not everything was visible {CATCH_UP_S:.0f} s after the last answer"
            results.add(OURS, values, wrong)
    results.above("events/s visible", OURS, 0.97 * pace)
    results.write()


if __name__ == "__main__":
    main()

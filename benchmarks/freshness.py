"""From the acknowledgement of an event until it is in its trace's summary, at several loads, hop by hop.

A probe is one event of a new trace, published to the gateway beside the load. Its hops: acknowledged -> its summary is
on Kafka -> it and the watermark are stored, and a read that was asked at once is answered.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles

import httpx
from aiokafka import AIOKafkaConsumer

from axonstream.kafka.topics import state_key
from benchmarks.measuring.filled_topic import partitions_of
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.pipeline import Pipeline, running_pipeline
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import event_fields
from benchmarks.measuring.servers import servers
from benchmarks.measuring.subject_process import subject_process
from benchmarks.peers.job import LoadJob, job_text

HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
PROBES_A_SECOND = 10
ANSWER_S = 30.0
LOADS = (10, 1000, 5000)
EVENTS_A_REQUEST = {10: 1, 1000: 10, 5000: 50}


async def watch_summaries(pipeline: Pipeline, seen: dict[bytes, float]) -> None:
    """Notes when the first summary of each probe came from Kafka, by the clock of the event loop in s."""
    address, topic = pipeline.installation.servers.kafka, pipeline.installation.topics.summaries
    loop = asyncio.get_running_loop()
    async with AIOKafkaConsumer(bootstrap_servers=address, fetch_max_wait_ms=100) as consumer:
        consumer.assign(partitions_of(topic))
        while True:
            fetched = await consumer.getmany(timeout_ms=1000)
            now = loop.time()
            for record in (record for records in fetched.values() for record in records):
                if record.key and b"probe" in record.key:
                    seen.setdefault(record.key, now)


@dataclass(frozen=True, slots=True)
class Probe:
    """Times of the event loop's clock, in s; `right` when the answer was fresh and counted the event."""

    key: bytes
    acknowledged: float
    answered: float
    right: bool


async def probe(client: httpx.AsyncClient, number: int, name: str) -> Probe:
    loop = asyncio.get_running_loop()
    trace = f"probe_{name}_{number}"
    event = event_fields(number, trace) | {"dedupKey": trace}
    (await client.post("/event", json=event)).raise_for_status()
    acknowledged = loop.time()
    answer = await client.get(f"/traces/{trace}/summary", params={"events": 0})
    answered = loop.time()
    fresh = answer.status_code == 200 and "x-axonstream-stale" not in answer.headers
    return Probe(state_key("1", trace), acknowledged, answered, fresh and answer.json()["totalEvents"] == 1)


async def probes_of(pipeline: Pipeline, count: int, name: str) -> tuple[list[Probe], dict[bytes, float]]:
    """The probes, and when the summary of each was on Kafka."""
    seen: dict[bytes, float] = {}
    watch = asyncio.create_task(watch_summaries(pipeline, seen))
    loop = asyncio.get_running_loop()
    probes: list[Probe] = []
    try:
        base_url = f"http://127.0.0.1:{pipeline.port}"
        async with httpx.AsyncClient(base_url=base_url, headers=HEADERS, timeout=ANSWER_S) as client:
            for number in range(-PROBES_A_SECOND, count):
                due = loop.time() + 1 / PROBES_A_SECOND
                found = await probe(client, number, name)
                if number >= 0:  # those before warm the connections
                    probes.append(found)
                await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        watch.cancel()
        await asyncio.wait([watch])
    return probes, seen


def turn(pipeline: Pipeline, load: int, seconds: int, name: str) -> tuple[dict[str, float], str]:
    """Percentiles of every hop in ms, and what is wrong with the answers."""
    with ExitStack() as stack:
        background = load - PROBES_A_SECOND
        if background > 0:
            a_request = EVENTS_A_REQUEST[load]
            requests = background * (seconds + 5) // a_request
            job = LoadJob(pipeline.port, "/events", 4, requests, a_request, background)
            generator = stack.enter_context(subject_process(["-m", "benchmarks.measuring.http_load", job_text(job)]))
            generator.until_line("loading")
        try:
            probes, seen = asyncio.run(probes_of(pipeline, seconds * PROBES_A_SECOND, name))
        except httpx.HTTPError as error:
            return {}, f"a probe was not answered: {error!r}"
    wrong = sum(not found.right or found.key not in seen for found in probes)
    hops = {
        "read answered": [found.answered - found.acknowledged for found in probes],
        "summary on Kafka": [seen[found.key] - found.acknowledged for found in probes if found.key in seen],
        "from there to the answer": [found.answered - seen[found.key] for found in probes if found.key in seen],
    }
    values = {name: value for hop, times in hops.items() for name, value in _percentiles(hop, times).items()}
    return values, "" if not wrong else f"{wrong} probes were not answered right"


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    cuts = quantiles((value * 1000 for value in values), n=100)
    return {f"{name} p50 ms": cuts[49], f"{name} p99 ms": cuts[98]}


def main() -> None:
    plan = read_plan(__doc__)
    seconds = plan.size(30, 3)
    configuration = {"seconds": seconds, "probes/s": PROBES_A_SECOND, "partitions": PARTITIONS, "rounds": plan.rounds}
    with servers() as at, running_pipeline(Installation(at)) as pipeline:
        results = Results("freshness", "acknowledged until in the summary", plan, configuration)
        for number in range(plan.rounds):
            for load in LOADS:
                values, wrong = turn(pipeline, load, seconds, f"{number}_{load}")
                results.add(f"{load:,} events/s", values, wrong)
    results.below("read answered p50 ms", "1,000 events/s", 60)
    results.below("read answered p99 ms", "1,000 events/s", 300)
    results.write()


if __name__ == "__main__":
    main()

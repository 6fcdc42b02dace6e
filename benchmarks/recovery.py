"""From the start of a processor until it is ready, with 500,000 live traces on its changelog, against stock Faust.

Ours comes back to the changelog that it wrote itself; stock Faust's, of the same traces, is written for it.
"""

from __future__ import annotations

import asyncio
import tempfile
from time import monotonic

import orjson

from axonstream.contract.event_record import EventRecord
from benchmarks.measuring.filled_topic import delete_topics, fill_topic, make_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.output_watch import watching
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import NOW_MS, sample_record, trace_id
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.subject_process import subject_process
from benchmarks.peers.job import StreamJob, job_text
from benchmarks.peers.plain_fold import folded
from benchmarks.processor import OURS, STOCK

LONGEST_S = 900.0


def stock_state(number: int) -> EventRecord:
    """What stock Faust keeps of a trace of one event, as its changelog has it."""
    event = sample_record(number, trace_id(number), NOW_MS)
    state = orjson.dumps(folded(None, orjson.loads(event.value)))
    return EventRecord(number, f'"{trace_id(number)}"', NOW_MS, NOW_MS, state)


async def fold_once(installation: Installation, traces: int) -> None:
    """Fill the events and let a processor fold them, so that its changelog holds a state of every trace."""
    kafka = installation.servers.kafka
    await fill_topic(kafka, installation.events, (sample_record(n, trace_id(n), NOW_MS) for n in range(traces)))
    consumer, watch = await watching(kafka, installation.topics.summaries)
    try:
        with installation.part("processor") as process:
            await asyncio.to_thread(process.until_line, "ready processor")
            async with asyncio.timeout(LONGEST_S):
                while sum((await watch.folded()).values()) < traces:
                    await asyncio.sleep(0.2)
            await asyncio.to_thread(process.end)
    finally:
        await consumer.stop()


def stock_ready_s(job: StreamJob) -> float:
    started = monotonic()
    with subject_process(["-m", "benchmarks.peers.stock_faust", job_text(job)]) as process:
        process.until_line("ready")
        took = monotonic() - started
        process.end()
    return took


async def prepare_stock(at: Servers, job: StreamJob, traces: int) -> None:
    for topic in (job.events, job.output):
        await make_topic(at.kafka, topic)
    await make_topic(at.kafka, job.changelog, **{"cleanup.policy": "compact"})
    await fill_topic(at.kafka, job.changelog, (stock_state(number) for number in range(traces)))


def main() -> None:
    plan = read_plan(__doc__)
    traces = plan.size(500_000, 20_000)
    configuration = {"live traces": traces, "partitions": PARTITIONS, "rounds": plan.rounds}
    with servers() as at, tempfile.TemporaryDirectory() as directory:
        installation = Installation(at)
        installation.initialise()
        asyncio.run(fold_once(installation, traces))
        name = f"{installation.settings.topic_prefix}stock"
        topics = (f"{name}-events", f"{name}-output", f"{name}-traces-changelog")
        job = StreamJob(at.kafka, name, *topics, PARTITIONS, directory)
        asyncio.run(prepare_stock(at, job, traces))
        results = Results("recovery", "restart with live traces", plan, configuration)
        for _ in range(plan.rounds):
            for subject, seconds in ((OURS, installation.processor_ready_s()), (STOCK, stock_ready_s(job))):
                results.add(subject, {"ready after s": seconds, "traces/s": traces / seconds})
        asyncio.run(delete_topics(at.kafka, topics))
    results.at_least("traces/s", OURS, STOCK, 10)
    results.write()


if __name__ == "__main__":
    main()

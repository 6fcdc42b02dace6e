"""The processor, with every guarantee, against stock Faust, a bare aiokafka loop, quixstreams and bytewax.

All fold the same topic into a summary per trace on Kafka. The clock of each runs from the first record of its output
to the last, so that start-up and group joining are not in it. Stock Faust is stopped after a part of the topic.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.filled_topic import delete_topics, ends_of, fill_topic, make_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.output_watch import Growth, watching
from benchmarks.measuring.plan import Plan, read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES, sample_records
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.subject_process import PEERS_PYTHON, SubjectProcess, subject_process
from benchmarks.peers.job import FETCH_BYTES, GC_THRESHOLDS, OUTPUT_BATCH_BYTES, StreamJob, job_text

OURS = "axonstream processor"
BARE = "bare aiokafka + msgspec + fold"
STOCK = "stock Faust agent"
QUIX = "quixstreams, changelog"
BYTEWAX = "bytewax stateful_map"


@dataclass(frozen=True, slots=True)
class Log:
    """The filled topic."""

    servers: Servers
    events: str
    count: int
    traces: int


@dataclass(frozen=True, slots=True)
class Subject:
    """`watermarks`: its output tells how far it has folded; else it has one record an event, and `most` are enough."""

    name: str
    module: str
    python: Path | None
    watermarks: bool
    most: int


@contextmanager
def folding(subject: Subject, log: Log, installation: Installation) -> Generator[SubjectProcess]:
    if subject.name == OURS:
        with installation.part("processor") as process:
            process.until_line("ready processor")
            yield process
        return
    topics = installation.topics
    directory = tempfile.mkdtemp(prefix="axonstream-bench-")
    name = topics.processor_app
    job = StreamJob(log.servers.kafka, name, log.events, topics.summaries, topics.changelog, PARTITIONS, directory)
    try:
        with subject_process(["-m", subject.module, job_text(job)], python=subject.python) as process:
            process.until_line("ready")
            yield process
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def fold_turn(subject: Subject, log: Log) -> tuple[Growth, int, str]:
    """Its growth, the events in it, and what is wrong with its output."""
    installation = Installation(log.servers, log.events)
    await asyncio.to_thread(installation.initialise)
    consumer, watch = await watching(log.servers.kafka, installation.topics.summaries)
    try:
        ends = await ends_of(consumer, log.events)

        async def folded_all(_: int) -> bool:
            return await watch.folded() == ends

        async def wrote_enough(records: int) -> bool:
            return records >= min(log.count, subject.most)

        with folding(subject, log, installation) as process:
            growth = await watch.until(process, folded_all if subject.watermarks else wrote_enough)
        counts = await watch.counts()
    finally:
        await consumer.stop()
        await delete_topics(log.servers.kafka, [installation.topics.summaries, installation.topics.changelog])
    if subject.watermarks:
        wrong = (
            "" if (sum(counts.values()), len(counts)) == (log.count, log.traces) else f"counts {sum(counts.values())}"
        )
        return growth, log.count, wrong
    wrong = "" if sum(counts.values()) >= growth.records else f"counts {sum(counts.values())} of {growth.records}"
    return growth, growth.records, wrong


def _subjects(plan: Plan) -> list[Subject]:
    whole = 1 << 40
    return [
        Subject(OURS, "", None, True, whole),
        Subject(BARE, "benchmarks.peers.bare_loop", None, True, whole),
        Subject(STOCK, "benchmarks.peers.stock_faust", None, False, plan.size(20_000, 3_000)),
        Subject(QUIX, "benchmarks.peers.quix_streams", PEERS_PYTHON, False, plan.size(300_000, 25_000)),
        Subject(BYTEWAX, "benchmarks.peers.bytewax_flow", PEERS_PYTHON, False, plan.size(600_000, 25_000)),
    ]


async def _measure(plan: Plan, log: Log, results: Results) -> None:
    for _ in range(plan.rounds):
        for subject in _subjects(plan):
            try:
                growth, events, wrong = await fold_turn(subject, log)
            except (RuntimeError, TimeoutError, FileNotFoundError) as error:
                results.add(subject.name, {}, f"{error!r}")
                continue
            if not growth.share:
                results.add(subject.name, {}, "all of its output came at once")
                continue
            results.add(
                subject.name,
                {
                    "events/s": events * growth.share / growth.seconds,
                    "CPU us/event": growth.cpu_s / (events * growth.share) * 1e6,
                },
                wrong,
            )


async def _fill(plan: Plan, at: Servers) -> Log:
    count = plan.size(1_000_000, 50_000)
    events = f"{Installation(at).topics.events}-shared"
    await make_topic(at.kafka, events)
    traces = len({record.trace_id for record in sample_records(count)})
    await fill_topic(at.kafka, events, sample_records(count))
    return Log(at, events, count, traces)


def main() -> None:
    plan = read_plan(__doc__)
    with servers() as at:
        log = asyncio.run(_fill(plan, at))
        configuration = {
            "events": log.count,
            "traces": TRACES,
            "partitions": PARTITIONS,
            "rounds": plan.rounds,
            "gc": GC_THRESHOLDS,
            "loop": "asyncio",
            "fetch bytes a partition": FETCH_BYTES,
            "output batch bytes": OUTPUT_BATCH_BYTES,
            "compression": "none",
            "acks": "all",
            "commit": "1 s",
        }
        results = Results("processor", "events folded per second, and their CPU", plan, configuration)
        asyncio.run(_measure(plan, log, results))
        asyncio.run(delete_topics(at.kafka, [log.events]))
    results.at_least("events/s", OURS, BARE, 0.8)
    results.at_least("events/s", OURS, STOCK, 50)
    results.at_least("events/s", OURS, QUIX, 3)
    results.at_least("events/s", OURS, BYTEWAX, 3)
    results.write()


if __name__ == "__main__":
    main()

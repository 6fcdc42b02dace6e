"""KafkaPublisher against aiokafka's send() and send_batch(), and confluent-kafka's produce(); idempotent, acks=all.

Twice: from plain dicts, which all validate and encode alike, and from records that are encoded already, where only the
way to Kafka counts.
"""

from __future__ import annotations

import asyncio

import orjson

from benchmarks.gateway_single import stored
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.servers import servers
from benchmarks.measuring.subject_process import PEERS_PYTHON, subject_process
from benchmarks.peers.job import GC_THRESHOLDS, OUTPUT_BATCH_BYTES, PublishJob, job_text

AT_ONCE = 1000
EVENTS = ("KafkaPublisher.publish_many", "send(), from events", "send_batch(), from events", "produce(), from events")
RECORDS = ("KafkaPublisher's event log", "send()", "send_batch()", "confluent-kafka produce()")
WAYS = {
    **dict(zip(EVENTS, ("publish_many", "send of events", "send_batch of events", "produce of events"), strict=True)),
    **dict(zip(RECORDS, ("event log", "send", "send_batch", "produce"), strict=True)),
}


def turn(subject: str, installation: Installation, count: int) -> tuple[dict[str, float], str]:
    """Events a second, CPU an event, and what is wrong with the topic."""
    before = asyncio.run(stored(installation))
    way = WAYS[subject]
    job = PublishJob(way, installation.servers.kafka, installation.events, count, AT_ONCE)
    python = PEERS_PYTHON if way.startswith("produce") else None
    with subject_process(["-m", "benchmarks.peers.publishing", job_text(job)], python=python) as process:
        process.until_line("ready")
        found = orjson.loads(process.until_line("{"))
    grown = asyncio.run(stored(installation)) - before
    values = {"events/s": count / found["seconds"], "CPU us/event": found["cpu_s"] / count * 1e6}
    return values, "" if grown == count else f"{grown} of {count} stored"


def main() -> None:
    plan = read_plan(__doc__)
    count = plan.size(200_000, 20_000)
    configuration = {
        "events": count,
        "events a call": AT_ONCE,
        "partitions": PARTITIONS,
        "rounds": plan.rounds,
        "gc": GC_THRESHOLDS,
        "loop": "asyncio",
        "acks": "all",
        "idempotence": "on",
        "linger": "0 ms",
        "batch bytes": OUTPUT_BATCH_BYTES,
        "compression": "none",
    }
    with servers() as at:
        installation = Installation(at)
        installation.initialise()
        results = Results("kafka_publisher", "straight to Kafka", plan, configuration)
        for _ in range(plan.rounds):
            for subject in WAYS:
                try:
                    values, wrong = turn(subject, installation, count)
                except (RuntimeError, FileNotFoundError) as error:
                    values, wrong = {}, str(error)
                results.add(subject, values, wrong)
    for ours, single, batches, _ in (EVENTS, RECORDS):
        results.at_least("events/s", ours, single, 3)
        results.at_least("events/s", ours, batches, 1 / 1.3)
    results.write()


if __name__ == "__main__":
    main()

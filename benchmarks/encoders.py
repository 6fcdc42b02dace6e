"""Records that other programs put on Kafka: what spaces, escapes and another order of fields cost processor and sink.

The same events in each spelling, each in a topic of its own. The turns of all spellings take their places in each
round. The peer is the compact form, in the order of fields that the product's own publishers write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from axonstream.contract.event_record import EventRecord
from benchmarks.measuring.filled_topic import delete_topics, fill_topic, make_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import Plan, read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES, sample_records
from benchmarks.measuring.servers import Servers, servers
from benchmarks.processor import OURS as PROCESSOR
from benchmarks.processor import Log, Subject, fold_turn
from benchmarks.sink import OURS as SINK
from benchmarks.sink import turn

Fields = dict[str, Any]
COMPACT = "compact, our order"
SPELLINGS: dict[str, Callable[[Fields], bytes]] = {
    COMPACT: orjson.dumps,
    "json.dumps: spaces, escapes": lambda fields: json.dumps(fields).encode(),
    "compact, another order": lambda fields: orjson.dumps(dict(reversed(fields.items()))),
    "json.dumps, sorted keys": lambda fields: json.dumps(fields, sort_keys=True).encode(),
}
METRICS = {"processor": "CPU us/event", "sink": "CPU us/row"}


def spelt(count: int, spelling: Callable[[Fields], bytes]) -> Iterator[EventRecord]:
    """The sample records as another encoder writes them."""
    for record in sample_records(count):
        yield record._replace(value=spelling(orjson.loads(record.value)))


async def _processor_turn(log: Log) -> tuple[dict[str, float], str]:
    growth, events, wrong = await fold_turn(Subject(PROCESSOR, "", None, True, 1 << 40), log)
    if not growth.share:
        return {}, "all of its output came at once"
    return {METRICS["processor"]: growth.cpu_s / (events * growth.share) * 1e6}, wrong


async def _fill(plan: Plan, at: Servers) -> dict[str, Log]:
    count = plan.size(500_000, 50_000)
    traces = len({record.trace_id for record in sample_records(count)})
    logs: dict[str, Log] = {}
    for number, (name, spelling) in enumerate(SPELLINGS.items()):
        events = f"{Installation(at).topics.events}-spelling-{number}"
        await make_topic(at.kafka, events)
        await fill_topic(at.kafka, events, spelt(count, spelling))
        logs[name] = Log(at, events, count, traces)
    return logs


def main() -> None:
    plan = read_plan(__doc__)
    with servers() as at:
        logs = asyncio.run(_fill(plan, at))
        count = logs[COMPACT].count
        configuration = {"events": count, "traces": TRACES, "partitions": PARTITIONS, "rounds": plan.rounds}
        results = Results("encoders", "CPU of records that other programs encode", plan, configuration)
        for _ in range(plan.rounds):
            for name, log in logs.items():
                values, wrong = asyncio.run(_processor_turn(log))
                results.add(f"processor, {name}", values, wrong)
                values, wrong = turn(SINK, Installation(at, log.events), count)
                results.add(f"sink, {name}", {METRICS["sink"]: values[METRICS["sink"]]} if values else {}, wrong)
        asyncio.run(delete_topics(at.kafka, [log.events for log in logs.values()]))
    for part, metric in METRICS.items():
        for name in SPELLINGS:
            if name != COMPACT:
                results.at_most(metric, f"{part}, {name}", f"{part}, {COMPACT}", 1.2)
    results.write()


if __name__ == "__main__":
    main()

"""What one event costs the processor's CPU: parsing alone, the validation, the fold, and the records that come out.

    python -m benchmarks.fold [--events 50000] [--chunk 500]

The machine is shared, so each figure is the best of several rounds, and `x parse` is its ratio to a bare orjson.loads
of the same bytes: that ratio is what to compare between machines and days.
"""

from __future__ import annotations

import argparse
import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import orjson

from axonstream.contract.event_record import encode_event
from axonstream.contract.record_validation import validate_record
from axonstream.event_contract import EventInput
from axonstream.kafka.topics import event_key
from axonstream.stream_processors.application import GC_THRESHOLDS
from axonstream.stream_processors.fold import fold_records
from axonstream.stream_processors.snapshots import summary_record
from axonstream.stream_processors.trace_states import TraceStates

ROUNDS = 5
TYPES = ("agent.message", "agent.tool_call.start", "agent.tool_call.end", "agent.handoff", "agent.error")


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the consumer hands it over."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = 1_700_000_000_000


def make_log(count: int, trace_length: int) -> list[Stored]:
    """Events of about 450 bytes with a dedup key each, of traces that overlap, as one partition holds them."""
    chance = random.Random(1)
    alive = max(1, count // trace_length // 10)
    log: list[Stored] = []
    for number in range(count):
        trace = f"tr_{number // (alive * trace_length)}_{chance.randrange(alive)}"
        event = EventInput(
            identifier="web_search",
            payload={"query": "x" * 80, "n": number},
            channel_id=1,
            agent_id=chance.choice(["planner", "researcher", "writer"]),
            span_id=f"sp_{number:016x}",
            event_type=chance.choice(TYPES),
            dedup_key=f"{number:032x}",
        )
        record = encode_event(event, tenant_id="1", trace_id=trace, fresh_id=number, now_ms=1_700_000_000_000 + number)
        log.append(Stored(number, event_key(trace), record.value))
    return log


def fold_all(log: list[Stored], chunk: int, *, write: bool) -> int:
    """Fold by chunk, to changelog records; with `write`, also encode the summaries. Returns the bytes written."""
    states = TraceStates()
    written = 0
    for start in range(0, len(log), chunk):
        folded = fold_records(log[start : start + chunk], states)
        if write:
            written += sum(len(record[1] or b"") for record in folded.changelog)
            written += sum(len(summary_record(key, state)[1]) for key, state in folded.touched.items())
    return written


def microseconds(work: Callable[[], object], events: int) -> float:
    """CPU time per event, the best of ROUNDS."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = process_time()
        work()
        best = min(best, process_time() - started)
    return best / events * 1e6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=50_000)
    arguments.add_argument("--chunk", type=int, default=500, help="events of one partition in one fetch")
    options = arguments.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    print(f"{options.events} events, {options.chunk} a chunk, us of CPU per event, best of {ROUNDS}")
    print(
        f"{'trace length':>12} {'parse':>7} {'valid':>8} {'fold':>7} {'+ output':>9} {'x parse':>8} {'bytes out':>10}"
    )
    for trace_length in (12, 100, 4000):
        log = make_log(options.events, trace_length)
        parse = microseconds(lambda log=log: [orjson.loads(record.value) for record in log], len(log))
        judge = microseconds(lambda log=log: [validate_record(record.key, record.value) for record in log], len(log))
        fold = microseconds(lambda log=log: fold_all(log, options.chunk, write=False), len(log))
        output = microseconds(lambda log=log: fold_all(log, options.chunk, write=True), len(log))
        size = fold_all(log, options.chunk, write=True) / len(log)
        times = f"{parse:>7.2f} {judge:>8.2f} {fold:>7.2f} {output:>9.2f}"
        print(f"{trace_length:>12} {times} {output / parse:>8.1f} {size:>10.0f}")


if __name__ == "__main__":
    main()

"""What a peer is told to do, as the JSON object that is its only argument. Imports nothing of the product."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

GC_THRESHOLDS = (100_000, 50, 100)  # those of the processor: the same for every subject
FETCH_BYTES = 1 << 20  # of one partition, at a time; the processor's
FETCH_MAX_BYTES = 50 << 20
OUTPUT_BATCH_BYTES = 512 << 10

Job = TypeVar("Job")


@dataclass(frozen=True, slots=True)
class StreamJob:
    """Fold the topic `events` into a summary per trace, on the topic `output`, with the states on `changelog`."""

    kafka: str
    group: str
    events: str
    output: str
    changelog: str
    partitions: int
    directory: str


@dataclass(frozen=True, slots=True)
class SinkJob:
    """Store the topic `events` in the table events_log of `database`, `max_rows` at most in one insert."""

    kafka: str
    clickhouse: str
    database: str
    group: str
    events: str
    partitions: int
    max_rows: int
    fetch_bytes: int
    fetch_max_bytes: int
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServeJob:
    """Answer `POST /event` and `POST /events` on `port`, in one of the ways of the peer."""

    way: str
    port: int
    kafka: str
    topic: str


@dataclass(frozen=True, slots=True)
class PublishJob:
    """Publish `count` events to `topic`, `at_once` in one call, in one of the ways of the peer."""

    way: str
    kafka: str
    topic: str
    count: int
    at_once: int


@dataclass(frozen=True, slots=True)
class CallJob:
    """Call the gateway at `url` `count` times, in one of the ways of the peer."""

    way: str
    url: str
    count: int


@dataclass(frozen=True, slots=True)
class LoadJob:
    """Send `requests` to `path` on loopback, of `events_a_request` each; `events_a_second` of 0 means no pace."""

    port: int
    path: str
    connections: int
    requests: int
    events_a_request: int
    events_a_second: float = 0.0


def job_text(job: Any) -> str:
    """The argument of the process that is to do `job`."""
    return json.dumps(asdict(job))


def told(kind: type[Job]) -> Job:
    """This process's job."""
    return kind(**json.loads(sys.argv[1]))


def set_gc() -> None:
    """Garbage collection as for every subject."""
    gc.set_threshold(*GC_THRESHOLDS)


def say(line: str) -> None:
    """To the benchmark, at once; Faust may have put its log in place of stdout."""
    print(line, file=sys.__stdout__, flush=True)

"""`POST /events` with 100 and 1,000 events, against the same code without Kafka, and a loop over aiokafka's send().

The floor is the gateway itself over an event log that keeps nothing, so it has HTTP, validation and encoding in it.
"""

from __future__ import annotations

import asyncio

from benchmarks.gateway_single import stored
from benchmarks.measuring.gateway_load import loaded
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.served import GATEWAY, serving
from benchmarks.measuring.servers import servers
from benchmarks.peers.job import LoadJob

FLOOR = "the same without Kafka (floor)"
NAIVE = "naive loop over send()"
WAYS = {GATEWAY: "", FLOOR: "floor", NAIVE: "naive loop"}
SIZES = (100, 1000)
CONNECTIONS = 4


def turn(subject: str, installation: Installation, size: int, events: int) -> tuple[dict[str, float], str]:
    """CPU an event, events a second, and what is wrong with the answers or the topic."""
    before = asyncio.run(stored(installation))
    with serving(subject, WAYS[subject], installation) as (server, port):
        found = loaded(server, LoadJob(port, "/events", CONNECTIONS, events // size, size))
    grown = asyncio.run(stored(installation)) - before
    expected = 0 if subject == FLOOR else events
    wrong = "" if not found.load.refused and grown == expected else f"{found.load.refused} refused, {grown} stored"
    values = {
        "CPU us/event": found.cpu_s / events * 1e6,
        "events/s": events / found.load.seconds,
        "p50 ms": found.load.p50_ms,
        "p99 ms": found.load.p99_ms,
    }
    return values, wrong


def main() -> None:
    plan = read_plan(__doc__)
    events = plan.size(300_000, 20_000)
    configuration = {
        "events": events,
        "connections": CONNECTIONS,
        "partitions": PARTITIONS,
        "rounds": plan.rounds,
        "server": "uvicorn, uvloop, httptools",
        "acks": "all",
        "batch": "512 KiB",
        "compression": "none",
    }
    with servers() as at:
        installation = Installation(at)
        installation.initialise()
        results = Results("gateway_bulk", "many events a request", plan, configuration)
        for _ in range(plan.rounds):
            for size in SIZES:
                for subject in WAYS:
                    values, wrong = turn(subject, installation, size, events)
                    results.add(f"{subject}, {size:,}", values, wrong)
    for size in SIZES:
        ours, floor, naive = (f"{subject}, {size:,}" for subject in WAYS)
        results.at_most("CPU us/event", ours, floor, 1.3)
        results.at_most("CPU us/event", ours, naive, 1.0)
        results.below("CPU us/event", floor, 16.0)
    results.write()


if __name__ == "__main__":
    main()

"""`POST /event`, one event a request, 32 and 128 connections, against a handler that only validates, and a plain send.

All are served by uvicorn with the same settings. What is compared is requests per second of the server's own CPU, so
the load generator on the same cores does not count.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

from benchmarks.measuring.filled_topic import ends_of
from benchmarks.measuring.gateway_load import loaded
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.served import GATEWAY, serving
from benchmarks.measuring.servers import servers
from benchmarks.peers.job import LoadJob

CEILING = "pydantic, no Kafka (ceiling)"
PLAIN = "plain aiokafka send, awaited"
WAYS = {GATEWAY: "", CEILING: "ceiling", PLAIN: "plain send"}
CONNECTIONS = (32, 128)


async def stored(installation: Installation) -> int:
    """Records of the events topic."""
    async with AIOKafkaConsumer(bootstrap_servers=installation.servers.kafka) as consumer:
        return sum((await ends_of(consumer, installation.events)).values())


def turn(subject: str, installation: Installation, connections: int, requests: int) -> tuple[dict[str, float], str]:
    """Requests a second, a CPU second, CPU of each, and what is wrong with the answers or the topic."""
    before = asyncio.run(stored(installation))
    with serving(subject, WAYS[subject], installation) as (server, port):
        found = loaded(server, LoadJob(port, "/event", connections, requests, 1))
    grown = asyncio.run(stored(installation)) - before
    expected = 0 if subject == CEILING else requests
    wrong = "" if not found.load.refused and grown == expected else f"{found.load.refused} refused, {grown} stored"
    values = {
        "requests/CPU s": requests / found.cpu_s,
        "CPU us/request": found.cpu_s / requests * 1e6,
        "requests/s": requests / found.load.seconds,
        "p50 ms": found.load.p50_ms,
        "p99 ms": found.load.p99_ms,
    }
    return values, wrong


def main() -> None:
    plan = read_plan(__doc__)
    requests = plan.size(40_000, 3_000)
    configuration = {
        "requests": requests,
        "partitions": PARTITIONS,
        "rounds": plan.rounds,
        "server": "uvicorn, uvloop, httptools",
        "acks": "all",
        "linger": "0 ms",
        "batch": "512 KiB",
        "compression": "none",
    }
    with servers() as at:
        installation = Installation(at)
        installation.initialise()
        results = Results("gateway_single", "one event a request", plan, configuration)
        for _ in range(plan.rounds):
            for connections in CONNECTIONS:
                for subject in WAYS:
                    values, wrong = turn(subject, installation, connections, requests)
                    results.add(f"{subject}, {connections} c.", values, wrong)
    for connections in CONNECTIONS:
        ours, ceiling, plain = (f"{subject}, {connections} c." for subject in WAYS)
        results.at_least("requests/CPU s", ours, ceiling, 0.7)
        results.at_least("requests/CPU s", ours, plain, 1.0)
    results.write()


if __name__ == "__main__":
    main()

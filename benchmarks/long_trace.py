"""One trace of 100,000 events, read through the gateway: when the first byte comes, and what it costs in memory."""

from __future__ import annotations

import threading
from time import monotonic

import httpx
import orjson
import psutil

from axonstream.clickhouse.client import connect_blocking
from benchmarks.measuring.installation import Installation
from benchmarks.measuring.pipeline import running_pipeline
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.servers import servers
from benchmarks.measuring.stored_by_sql import store_events, trace_name

OURS = "axonstream gateway"
HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
LOOK_S = 0.02


class MemoryWatch:
    """The most memory that a process held while the block ran."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.most = max(self.most, self._process.memory_info().rss)


def read(port: int, trace: str) -> tuple[float, float, bytes]:
    """Seconds to the first byte, seconds to the last, the answer."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=120) as client:
        started = monotonic()
        with client.stream("GET", f"/traces/{trace}/events") as answer:
            pieces = answer.iter_raw()
            first = next(pieces)
            first_s = monotonic() - started
            body = first + b"".join(pieces)
        return first_s, monotonic() - started, body


def main() -> None:
    plan = read_plan(__doc__)
    events = plan.size(100_000, 20_000)
    with servers() as at, running_pipeline(Installation(at)) as pipeline:
        settings = pipeline.installation.settings
        client = connect_blocking(settings)
        store_events(client, settings.clickhouse_database, events, 1)
        results = Results("long_trace", "one long trace", plan, {"events": events, "rounds": plan.rounds})
        read(pipeline.port, trace_name(0))  # opens the connections
        for _ in range(plan.rounds):
            gateway = pipeline.parts["gateway"]
            before = gateway.memory_info().rss
            with MemoryWatch(gateway) as watch:
                first_s, whole_s, body = read(pipeline.port, trace_name(0))
            found = len(orjson.loads(body))
            values = {
                "first byte ms": first_s * 1000,
                "whole s": whole_s,
                "answer MB": len(body) / 1e6,
                "gateway grows MB": (watch.most - before) / 1e6,
            }
            results.add(OURS, values, "" if found == events else f"{found} of {events} events")
        client.command(f"DROP DATABASE {settings.clickhouse_database}")
        client.close()
    results.below("first byte ms", OURS, 300)
    results.below("gateway grows MB", OURS, 50)
    results.write()


if __name__ == "__main__":
    main()

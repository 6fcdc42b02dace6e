"""kill -9 of any part while publishing: nothing acknowledged is lost or doubled, and the stack heals itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from axonstream import AxonPush, AxonStreamError, EventType, TraceSummary

pytestmark = pytest.mark.services

TRACES = 8
HEALS_WITHIN_S = 60.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HEALS_WITHIN_S
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {HEALS_WITHIN_S:.0f} s still not: {what}")
        pause.wait(0.05)


class Publishing:
    """Publishes to a few traces from a thread until it is stopped, and remembers what was acknowledged."""

    def __init__(self, url: str) -> None:
        self.traces = [f"tr_{uuid4().hex[:16]}" for _ in range(TRACES)]
        self.acknowledged: list[tuple[str, str]] = []
        self.unknown: list[tuple[str, str]] = []
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with AxonPush("ak_local", "1", base_url=self._url, timeout=5) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                trace, key = self.traces[number % TRACES], f"event-{number}"
                kind = EventType.AGENT_ERROR if number % 5 == 0 else EventType.AGENT_TOOL_CALL_START
                try:
                    client.events.publish(key, {"n": number}, 1, trace_id=trace, dedup_key=key, event_type=kind)
                except AxonStreamError:
                    self.unknown.append((trace, key))
                else:
                    self.acknowledged.append((trace, key))


def fresh_summary(client: AxonPush, trace: str) -> TraceSummary:
    found: list[TraceSummary] = []

    def answered() -> bool:
        try:
            found[:] = [client.traces.get_summary(trace)]
        except AxonStreamError:
            return False
        return not found[0].stale

    wait_until(answered, f"a summary of {trace} that is not stale")
    return found[0]


@pytest.mark.parametrize("part", ["gateway", "sink-0", "processor-0", "clickhouse", "kafka"])
def test_nothing_acknowledged_is_lost_or_doubled(part: str, gateway_url: str, stack_directory: Path) -> None:
    pid_file = stack_directory / "run" / f"{part}.pid"
    before = int(pid_file.read_text())
    with Publishing(gateway_url) as publishing:
        wait_until(lambda: len(publishing.acknowledged) > 50, "50 events acknowledged")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: pid_file.exists() and int(pid_file.read_text()) != before, f"{part} started again")
        at_kill = len(publishing.acknowledged)
        wait_until(lambda: len(publishing.acknowledged) > at_kill + 50, "50 more events acknowledged")

    with AxonPush("ak_local", "1", base_url=gateway_url) as client:
        for trace in publishing.traces:
            acknowledged = {key for of, key in publishing.acknowledged if of == trace}
            unknown = {key for of, key in publishing.unknown if of == trace}
            summary = fresh_summary(client, trace)
            events = client.traces.get_events(trace)
            stored = Counter(event.identifier for event in events)
            assert set(stored.values()) == {1}, "doubled"
            assert acknowledged <= stored.keys(), "lost"
            assert stored.keys() <= acknowledged | unknown
            types = Counter(str(event.event_type) for event in events)
            assert summary.total_events == len(events)
            assert summary.error_count == types["agent.error"]
            assert summary.tool_call_count == types["agent.tool_call.start"]

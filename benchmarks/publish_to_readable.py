"""How long from the start of a publish until its trace's summary is read, on an idle stack, one trace at a time.

Every figure is a median of this run, beside a calibration loop of pure Python: compare ratios, not milliseconds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from statistics import quantiles
from time import perf_counter

from axonstream import AxonPush, EventType

TRACES = 100
WARM_UP = 10


def calibration_ms() -> float:
    """A fixed amount of work on this machine, now."""
    started = perf_counter()
    sum(number * number for number in range(200_000))
    return (perf_counter() - started) * 1000


def measure(url: str) -> list[tuple[str, list[float]]]:
    publish: list[float] = []
    readable: list[float] = []
    calibrations: list[float] = []
    wrong = 0
    with AxonPush("ak_local", "1", base_url=url) as client:
        for number in range(TRACES + WARM_UP):
            trace = f"tr_bench_{number}_{perf_counter():.6f}"
            started = perf_counter()
            client.events.publish("step", {"n": number}, 1, trace_id=trace, event_type=EventType.AGENT_TOOL_CALL_START)
            published = perf_counter()
            summary = client.traces.get_summary(trace)
            read = perf_counter()
            wrong += summary.stale or summary.total_events != 1
            if number >= WARM_UP:
                publish.append((published - started) * 1000)
                readable.append((read - started) * 1000)
                calibrations.append(calibration_ms())
    print(f"{TRACES} traces, {wrong} stale or wrong summaries")
    return [("publish acknowledged", publish), ("summary readable", readable), ("calibration loop", calibrations)]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
        stack = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "up", *ports, "--data-dir", directory],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert stack.stdout is not None
            ready = next(line for line in stack.stdout if line.startswith("axonstream is ready"))
            print(f"{'ms':24}{'p50':>8}{'p95':>8}{'max':>8}")
            for name, values in measure(ready.split()[3]):
                cuts = quantiles(values, n=20)
                print(f"{name:24}{cuts[9]:8.1f}{cuts[18]:8.1f}{max(values):8.1f}")
        finally:
            stack.terminate()
            stack.wait(30)


if __name__ == "__main__":
    main()

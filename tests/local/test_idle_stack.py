"""What a stack with two of each worker costs when nothing is published: CPU and memory of all its processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import monotonic, process_time

import orjson
import psutil
import pytest

from axonstream.local.part_process import environment_of
from kit.until import until

pytestmark = pytest.mark.services

MOST_OF_A_CORE = 0.05
MOST_TEXTS = 100_000  # a second of an idle stack with one of each worker takes less CPU than to read so many
TEXT = b'{"identifier":"web_search","payload":{"query":"' + b"x" * 300 + b'","n":1},"agentId":"planner"}'
MOST_BYTES = 900_000_000
PROCESSES = 8  # kafka, clickhouse, gateway, two of each worker, and their supervisor
LOOKS_FOR_S = 20.0
SETTLES_WITHIN_S = 200.0
UNWANTED = ("pandas", "pyarrow", "numpy", "pytest", "hypothesis", "schemathesis")
PARTS = (
    "axonstream.cli.main",
    "axonstream.local.stack",
    "axonstream.local.clickhouse_http.server",
    "axonstream.gateway.server",
    "axonstream.sinks.worker",
)


@pytest.fixture
def two_of_each(tmp_path: Path) -> Iterator[list[psutil.Process]]:
    """The processes of a stack of its own, ready."""
    command = ["up", "--processors", "2", "--sinks", "2", "--data-dir", str(tmp_path)]
    ports = [word for name in ("--port", "--kafka-port", "--clickhouse-port") for word in (name, "0")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    stack = subprocess.Popen(
        [sys.executable, "-m", "axonstream.cli.main", *command, *ports],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert stack.stdout is not None
        assert any(line.startswith("axonstream is ready") for line in stack.stdout), "the stack did not start"
        pids = [int(file.read_text()) for file in (tmp_path / "run").glob("*.pid")]
        yield [psutil.Process(pid) for pid in (stack.pid, *pids)]
    finally:
        stack.send_signal(signal.SIGTERM)
        try:
            stack.wait(30)
        finally:
            stack.kill()
            if stack.stdout is not None:
                stack.stdout.close()


def cpu_s(parts: list[psutil.Process]) -> float:
    times = [part.cpu_times() for part in parts]
    return sum(one.user + one.system for one in times)


def memory(parts: list[psutil.Process]) -> int:
    """Bytes; what several processes share is divided among them."""
    return sum(part.memory_full_info().pss for part in parts)


async def used(parts: list[psutil.Process]) -> float:
    """Of a core, over LOOKS_FOR_S: seconds of CPU are not those of a clock, so a loaded machine changes them little."""
    before, began = cpu_s(parts), monotonic()
    await until(lambda: monotonic() - began >= LOOKS_FOR_S, "the time is over", 2 * LOOKS_FOR_S)
    return (cpu_s(parts) - before) / (monotonic() - began)


async def settled(parts: list[psutil.Process], most: Callable[[], float]) -> bool:
    """Whether it is idle at one look: what was to be done before is done in the background."""
    deadline = monotonic() + SETTLES_WITHIN_S
    while await used(parts) > most():
        if monotonic() > deadline:
            return False
    return True


def text_s() -> float:
    """CPU of reading TEXT now, in s: beside others the same work takes longer, here as in the stack."""
    times: list[float] = []
    for _ in range(5):
        before = process_time()
        for _ in range(20_000):
            orjson.loads(TEXT)
        times.append(process_time() - before)
    return median(times) / 20_000


def test_an_idle_stack_asks_seldom(stack_directory: Path) -> None:
    """An idle stack took 13 % of a core with two of each worker: each asked Kafka ten times a second."""
    parts = [psutil.Process(int(file.read_text())) for file in (stack_directory / "run").glob("*.pid")]
    assert len(parts) == 5
    assert asyncio.run(settled(parts, lambda: MOST_TEXTS * text_s()))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_an_idle_stack_with_two_of_each_worker_takes_little_of_a_core(two_of_each: list[psutil.Process]) -> None:
    """On a machine with nothing else to do: beside others the same work takes twice the time."""
    assert len(two_of_each) == PROCESSES
    assert asyncio.run(settled(two_of_each, lambda: MOST_OF_A_CORE))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_an_idle_stack_with_two_of_each_worker_takes_little_memory(two_of_each: list[psutil.Process]) -> None:
    """It took 1,004 MB: the engine kept all that its start had touched."""
    assert len(two_of_each) == PROCESSES
    asyncio.run(used(two_of_each))  # it settles meanwhile
    assert memory(two_of_each) <= MOST_BYTES


def test_what_runs_imports_nothing_of_data_frames_or_tests(tmp_path: Path) -> None:
    """A locked installation has none of them: chdb asks for pandas and pyarrow, and works without."""
    program = f"""
import importlib, json, sys
for name in {UNWANTED!r}:
    sys.modules[name] = None  # as if it were not installed
for name in {(*PARTS, "axonstream.stream_processors.worker")!r}:
    importlib.import_module(name)
from axonstream.local.clickhouse_http.connection import Connection
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in {UNWANTED!r} and sys.modules[name]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment_of(os.environ, {}, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []

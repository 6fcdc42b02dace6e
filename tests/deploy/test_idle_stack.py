"""What a stack costs when nothing is published: CPU of all its processes, and what they import."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic

import psutil
import pytest

from deploy.part_process import environment_of

pytestmark = pytest.mark.services

# Generous: 4.2 % was measured with one of each worker, as here, and 5.1 % with two.
MOST_OF_A_CORE = 0.08
LOOKS_FOR_S = 20.0
SETTLES_WITHIN_S = 120.0
UNWANTED = ("pandas", "pyarrow", "numpy", "pytest", "hypothesis", "schemathesis")
PARTS = ("deploy.cli", "deploy.local_stack", "deploy.clickhouse_http.server", "gateway.server", "sinks.worker")


def cpu_s(parts: list[psutil.Process]) -> float:
    times = [part.cpu_times() for part in parts]
    return sum(one.user + one.system for one in times)


async def used(parts: list[psutil.Process]) -> float:
    """Of a core, over LOOKS_FOR_S: seconds of CPU are not those of a clock, so a loaded machine changes them little."""
    before, began = cpu_s(parts), monotonic()
    await asyncio.sleep(LOOKS_FOR_S)  # the time is what is measured
    return (cpu_s(parts) - before) / (monotonic() - began)


def test_an_idle_stack_costs_little(stack_directory: Path) -> None:
    """An idle stack took 13 % of a core with two of each worker: each asked Kafka ten times a second."""
    parts = [psutil.Process(int(file.read_text())) for file in (stack_directory / "run").glob("*.pid")]
    assert len(parts) == 5

    async def settled() -> float:
        """The first look at which it is idle: what earlier tests have left to do is done in the background."""
        deadline = monotonic() + SETTLES_WITHIN_S
        share = await used(parts)
        while share > MOST_OF_A_CORE and monotonic() < deadline:
            share = await used(parts)
        return share

    assert asyncio.run(settled()) <= MOST_OF_A_CORE


def test_what_runs_imports_nothing_of_data_frames_or_tests(tmp_path: Path) -> None:
    """A locked installation has none of them: chdb asks for pandas and pyarrow, and works without."""
    program = f"""
import importlib, json, sys
for name in {UNWANTED!r}:
    sys.modules[name] = None  # as if it were not installed
for name in {(*PARTS, "stream_processors.worker")!r}:
    importlib.import_module(name)
from deploy.clickhouse_http.connection import Connection
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

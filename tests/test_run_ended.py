"""A test run that ends leaves no process behind, however it ends: a SIGTERM left its Kafka and its stack running."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from kit.until import until

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
ENDS_WITHIN_S = 180.0
LONG_S, AT_ONCE_S = 600, 0
# A child with a session of its own, and a process whose parent has ended.
PROGRAM = """
import subprocess, sys, threading
from pathlib import Path

WAITS = [sys.executable, "-c", "import threading; threading.Event().wait(600)"]
STARTS = f"import subprocess; print(subprocess.Popen({WAITS}, stdout=2).pid)"
CHILDREN = []

def test_starts_two_processes():
    CHILDREN.append(subprocess.Popen(WAITS, start_new_session=True))
    orphan = subprocess.run([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True, check=True).stdout
    Path("new").write_text(f"{CHILDREN[0].pid} {orphan}")
    Path("new").rename("pids")
    threading.Event().wait(SECONDS)
"""


def start(directory: Path, seconds: int, *options: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A run, watched as our own are, whose only test takes so long; and the processes that it has started."""
    (directory / "test_it.py").write_text(PROGRAM.replace("SECONDS", str(seconds)))
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "kit.run_ended", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a shell's job ignores it
    )
    asyncio.run(until((directory / "pids").exists, "the test has started its processes", ENDS_WITHIN_S))
    return run, [int(pid) for pid in (directory / "pids").read_text().split()]


def must_end(pids: list[int]) -> None:
    asyncio.run(until(lambda: not any(map(psutil.pid_exists, pids)), "they have ended", ENDS_WITHIN_S))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_takes_along_what_it_started(tmp_path: Path, how: signal.Signals) -> None:
    run, pids = start(tmp_path, LONG_S)
    assert len(pids) == 2
    assert all(map(psutil.pid_exists, pids))
    run.send_signal(how)
    run.communicate(timeout=ENDS_WITHIN_S)
    must_end(pids)


def test_so_does_a_run_of_several_processes(tmp_path: Path) -> None:
    run, pids = start(tmp_path, LONG_S, "--numprocesses=2")
    pids += [child.pid for child in psutil.Process(run.pid).children(recursive=True)]
    assert len(pids) > 4
    run.kill()
    run.communicate(timeout=ENDS_WITHIN_S)
    must_end(pids)


def test_a_run_that_leaves_processes_says_so_and_ends_them_and_no_others(tmp_path: Path) -> None:
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as other:
        run, pids = start(tmp_path, AT_ONCE_S)
        said, _ = run.communicate(timeout=ENDS_WITHIN_S)
        assert run.returncode == 0, said
        assert "left 2 processes" in said
        must_end(pids)
        assert other.poll() is None
        other.kill()

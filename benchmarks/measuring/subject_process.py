"""A subject in a process of its own: what it prints, the CPU it has used, the memory it holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.measuring.servers import clean_environment

ROOT = Path(__file__).parent.parent.parent
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"


class SubjectProcess:
    """Runs while its block does; killed at the end if it has not ended by itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._measured = psutil.Process(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_line(self, words: str) -> str:
        """The first line of its output that holds `words`. Raises RuntimeError when it ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if words in line:  # Faust leaves control characters before it
                return line.rstrip("\n")
        raise RuntimeError(f"the subject ended with {self._process.wait()} before it said {words!r}")

    def running(self) -> bool:
        return self._process.poll() is None

    def cpu_s(self) -> float:
        """User and system time of the process so far, all threads, in steps of 10 ms."""
        times = self._measured.cpu_times()
        return times.user + times.system

    def rss_bytes(self) -> int:
        return self._measured.memory_info().rss

    def send(self, number: int) -> None:
        """A signal."""
        self._process.send_signal(number)

    def end(self, grace_s: float = 15.0) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def subject_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, python: Path | None = None
) -> Generator[SubjectProcess]:
    """`python COMMAND`, started in the project's folder; its errors go to build/bench/<module>.stderr."""
    interpreter = sys.executable if python is None else str(python)
    log = ROOT / "build" / "bench" / f"{command[1].rpartition('.')[2]}.stderr"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as errors:
        process = subprocess.Popen(
            [interpreter, *command],
            cwd=ROOT,
            env=clean_environment(environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        yield SubjectProcess(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

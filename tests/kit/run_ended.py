"""When a test run ends, nothing that it started lives on, however it ends: SIGTERM and SIGKILL included.

A watcher, a process of its own session, waits for the end of the run. Then it kills every process that carries the
mark of the run in its environment: children inherit it, whoever their parent is by then.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import psutil

if TYPE_CHECKING:  # the watcher has no use for it
    import pytest

MARK = "RUN_OF_TESTS"  # tests that take ours out of the environment of a process leave it there
LOOKS_EVERY_S = 0.5
ENDS_WITHIN_S = 60
GONE_WITHIN_S = 10
ROUNDS = 10
_SEPARATOR = ":"  # a run within a run carries both marks


def pytest_configure(config: pytest.Config) -> None:
    """This module is a plugin of pytest."""
    config.add_cleanup(Watched().ended)


class Watched:
    """A run that is watched from now on."""

    def __init__(self) -> None:
        mark = uuid4().hex
        self._before = os.environ.get(MARK)
        self._watcher = subprocess.Popen(
            [sys.executable, __file__, mark, str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )
        os.environ[MARK] = _SEPARATOR.join(filter(None, (self._before, mark)))  # not the watcher's

    def ended(self) -> None:
        """Returns when what was left is gone."""
        if self._before is None:
            del os.environ[MARK]
        else:
            os.environ[MARK] = self._before
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(ENDS_WITHIN_S)


def kill_all_of(mark: str) -> int:
    """The processes that carry it, and those that they start meanwhile; how many they were. The caller carries none."""
    killed: set[psutil.Process] = set()
    for _ in range(ROUNDS):
        left = [process for process in psutil.process_iter() if mark in _marks(process)]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=GONE_WITHIN_S)
        killed.update(left)
        if not left:
            break
    return len(killed)


def _marks(process: psutil.Process) -> list[str]:
    """None of one that has ended, or is another user's."""
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ().get(MARK, "").split(_SEPARATOR)
    return []


def _wait_for_the_end_of(run: int, its_word: BinaryIO) -> None:
    """A child that the run has forked may keep the pipe open: the end of the process is looked for as well."""
    while os.getppid() == run and not select.select([its_word], [], [], LOOKS_EVERY_S)[0]:
        pass


if __name__ == "__main__":
    _wait_for_the_end_of(int(sys.argv[2]), sys.stdin.buffer)
    if number := kill_all_of(sys.argv[1]):
        print(f"the test run has ended and left {number} processes: they were killed", file=sys.stderr)

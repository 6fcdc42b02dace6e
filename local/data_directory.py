"""The data directory of a local stack: one owner at a time, and no process of an earlier owner left in it.

Mode 700: Kafka and ClickHouse keep everything that was published below it, and its secrets open the stack.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from axonstream.local.errors import AlreadyRunningError
from axonstream.local.part_process import parts_of
from axonstream.local.private_file import make_private


class DataDirectory:
    """Holds DATA_DIR/run/lock for as long as the stack runs; the kernel frees it when the owner dies.

    Raises AlreadyRunningError on entering when another stack holds it, NotPrivateError when others could read it.
    Processes that a killed supervisor left behind (their environment says so, see `parts_of`) are ended first: two
    brokers on one log directory would not start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    def __enter__(self) -> Self:
        make_private(self.path)
        for name in ("run", "logs"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise AlreadyRunningError(
                f"an axonstream stack is already running on {self.path}: use it, stop it with Ctrl-C where it runs, "
                "or choose another directory with --data-dir"
            ) from None
        self._lock = lock
        self._end_leftovers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _end_leftovers(self) -> None:
        leftovers = parts_of(self.path)
        for process in leftovers:
            with suppress(psutil.Error):
                process.terminate()
        _, stubborn = psutil.wait_procs(leftovers, timeout=8)
        for process in stubborn:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(stubborn, timeout=5)
        for pid_file in (self.path / "run").glob("*.pid"):
            pid_file.unlink()

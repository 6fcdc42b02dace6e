"""One process of the local stack: started, watched, restarted with backoff, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.errors import PartFailedError
from deploy.private_file import OTHERS_NOTHING
from deploy.terminal_text import harmless
from sinks.errors import EXIT_MISMATCH

POLL_S = 0.05
READY_TIMEOUT_S = 120.0
LONG_ENOUGH_S = 30.0  # a part that lived this long starts its backoff anew
MAX_BACKOFF_S = 10.0
MAX_LOG_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What to run: `axonstream <arguments>`; `probe` says when it is ready where it prints no line itself."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    probe: Callable[[], Awaitable[bool]] | None = None
    stop_grace_s: float = 4.0


class SupervisedPart:
    """Started again whenever it ends, but for EXIT_MISMATCH: then a person must decide, and is told.

    Keeps DATA_DIR/run/<name>.pid while the process lives and appends its output to DATA_DIR/logs/<name>.log.

    The process has a session of its own, so that Ctrl-C reaches only the supervisor, which stops parts in order.
    """

    def __init__(self, spec: PartSpec, data_dir: Path, on_restart: Callable[[str], None]) -> None:
        self.spec = spec
        self._pid_file = data_dir / "run" / f"{spec.name}.pid"
        self._log_file = data_dir / "logs" / f"{spec.name}.log"
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start, wait until ready, and keep it running from then on. Raises PartFailedError."""
        await (await self.launched())

    async def launched(self) -> Coroutine[Any, Any, None]:
        """Start, and return what there is to await until it is ready, and kept running from then on."""
        return self._settle(await self._spawn())

    async def _settle(self, process: asyncio.subprocess.Process) -> None:
        await self._until_ready(process)
        self._watch = asyncio.create_task(self._keep_running(process))

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when the process is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])  # whatever it ended with, the process must be stopped
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self.spec.stop_grace_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._pid_file.unlink(missing_ok=True)

    async def _spawn(self) -> asyncio.subprocess.Process:
        if self._log_file.exists() and self._log_file.stat().st_size > MAX_LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        with self._log_file.open("ab") as log:
            self._log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "deploy.cli",
                *self.spec.arguments,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.spec.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=OTHERS_NOTHING,
            )
        self._process = process
        partial = self._pid_file.with_suffix(".pid.partial")
        partial.write_text(f"{process.pid}\n")
        partial.replace(self._pid_file)  # a reader finds the old one or the new one, never half of it
        return process

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not await self._is_ready():
            if process.returncode is not None:
                raise PartFailedError(self._complaint(f"ended with exit code {process.returncode}"))
            if time.monotonic() > deadline:
                raise PartFailedError(self._complaint(f"was not ready after {READY_TIMEOUT_S:.0f} s"))
            await asyncio.sleep(POLL_S)

    async def _is_ready(self) -> bool:
        if self.spec.probe is not None:
            return await self.spec.probe()
        with self._log_file.open("rb") as log:
            log.seek(self._log_start)
            return any(line.startswith(b"ready ") for line in log)

    def _complaint(self, what: str) -> str:
        text = self._log_file.read_bytes().decode(errors="replace").rstrip("\n")
        lines = [harmless(line[:300]) for line in text.split("\n")[-5:]]
        return "\n  ".join([f"{self.spec.name} {what}; the whole log is {self._log_file}. Its last lines:", *lines])

    async def _keep_running(self, process: asyncio.subprocess.Process) -> None:
        backoff = 0.2
        while True:
            started = time.monotonic()
            code = await process.wait()
            if code == EXIT_MISMATCH:
                self._pid_file.unlink(missing_ok=True)
                self._say(self._complaint(f"ended with exit code {code} and is not started again"))
                return
            if time.monotonic() - started > LONG_ENOUGH_S:
                backoff = 0.2
            self._say(f"{self.spec.name} ended with exit code {code}: started again in {backoff:.1f} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)
            try:
                process = await self._spawn()
            except OSError as error:  # no memory, no disk: the old process is still ended, so the loop comes back here
                self._say(f"{self.spec.name} cannot start: {error}")

    def _say(self, line: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the part must be kept running all the same
            self._on_restart(line)

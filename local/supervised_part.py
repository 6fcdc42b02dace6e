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

from axonstream.local.errors import PartFailedError, PartRefusesError, PortTakenError
from axonstream.local.free_ports import is_free, listens_on
from axonstream.local.mended import Mended
from axonstream.local.part_log import PartLog
from axonstream.local.part_process import environment_of, python_of
from axonstream.local.private_file import OTHERS_NOTHING
from axonstream.sinks.errors import EXIT_MISMATCH

POLL_S = 0.05
READY_TIMEOUT_S = 120.0
LONG_ENOUGH_S = 30.0  # a part that lived this long starts its backoff anew
MAX_BACKOFF_S = 10.0
LOG_LOOK_S = 10.0  # from one look at the length of a log to the next


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What to run: `axonstream <arguments>`, which listens on `ports` of loopback.

    `probe` is asked with the pid whether the part is ready, where it prints no line itself. `waits` is of a part whose
    refusal to start (EXIT_MISMATCH) a person can end while the servers of the stack run.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: tuple[int, ...] = ()
    probe: Callable[[int], Awaitable[bool]] | None = None
    stop_grace_s: float = 4.0
    waits: bool = False


class SupervisedPart:
    """Started again whenever it ends. After EXIT_MISMATCH a person must decide: it waits until one has (see Mended).

    Keeps DATA_DIR/run/<name>.pid while the process lives and appends its output to DATA_DIR/logs/<name>.log.

    A part that has ended is dead, whatever answers on its port, and a port on which something else listens is not its
    own: while it starts that is a PortTakenError. Later on `port_lost` is told, once, and the part is not started
    again; without it the part is tried again until the port is free.

    The process has a session of its own, so that Ctrl-C reaches only the supervisor, which stops parts in order.
    """

    def __init__(
        self,
        spec: PartSpec,
        data_dir: Path,
        on_restart: Callable[[str], None],
        port_lost: Callable[[str], None] | None = None,
    ) -> None:
        self.spec = spec
        self._data_dir = data_dir
        self._pid_file = data_dir / "run" / f"{spec.name}.pid"
        self._log = PartLog(data_dir / "logs" / f"{spec.name}.log")
        self._mended = Mended(data_dir)
        self._on_restart = on_restart
        self._port_lost = port_lost
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start, wait until ready, and keep it running from then on. Raises PartFailedError."""
        await (await self.launched())

    async def launched(self) -> Coroutine[Any, Any, None]:
        """Start, and return what there is to await until it is ready, and kept running from then on."""
        return self._settle(await self._spawn())

    async def _settle(self, process: asyncio.subprocess.Process) -> None:
        while True:
            before = self._mended.mark()
            try:
                await self._until_ready(process)
            except PartRefusesError as refusal:
                if not self.spec.waits:
                    raise
                self._pid_file.unlink(missing_ok=True)
                self._say(f"{refusal}\n  {self._mended.words()}")
                await self._mended.since(before)
                self._say(f"starting {self.spec.name}")
                process = await self._spawn()
            else:
                break
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
        with self._log.open() as log:
            process = await asyncio.create_subprocess_exec(
                *python_of(sys.executable),
                *self.spec.arguments,
                env=environment_of(os.environ, self.spec.environment, self._data_dir),
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
        foreign = 0
        while True:
            ready = await self._is_ready(process.pid)
            foreign = foreign + 1 if self._others_listen(process.pid) else 0
            if process.returncode is not None:
                raise self._ended(process.returncode)
            if ready:
                return
            if foreign > 1:  # once may be the instant between the part's own bind and its listen
                raise PortTakenError(self._complaint("found something else on its port"))
            if time.monotonic() > deadline:
                raise PartFailedError(self._complaint(f"was not ready after {READY_TIMEOUT_S:.0f} s"))
            await asyncio.sleep(POLL_S)

    async def _is_ready(self, pid: int) -> bool:
        return self._log.is_ready() if self.spec.probe is None else await self.spec.probe(pid)

    def _others_listen(self, pid: int) -> bool:
        return any(not is_free(port) and not listens_on(pid, port) for port in self.spec.ports)

    def _ended(self, code: int) -> PartFailedError:
        words = self._complaint(f"ended with exit code {code}")
        if code == EXIT_MISMATCH:
            return PartRefusesError(words)
        taken = self.spec.ports and self._log.holds(b"address already in use")
        if taken or not all(map(is_free, self.spec.ports)):
            return PortTakenError(words)
        return PartFailedError(words)

    def _complaint(self, what: str) -> str:
        said = f"{self.spec.name} {what}; the whole log is {self._log.path}. Its last lines:"
        return "\n  ".join([said, *self._log.last_lines()])

    async def _keep_running(self, process: asyncio.subprocess.Process) -> None:
        backoff = 0.2
        while True:
            started, before = time.monotonic(), self._mended.mark()
            code = await self._end_of(process)
            if code == EXIT_MISMATCH:
                self._pid_file.unlink(missing_ok=True)
                complaint = self._complaint(f"ended with exit code {code} and is not started again as it is")
                self._say(f"{complaint}\n  {self._mended.words()}")
                await self._mended.since(before)
                self._say(f"starting {self.spec.name}")
            else:
                if time.monotonic() - started > LONG_ENOUGH_S:
                    backoff = 0.2
                self._say(f"{self.spec.name} ended with exit code {code}: started again in {backoff:.1f} s")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF_S)
            if taken := [port for port in self.spec.ports if not is_free(port)]:
                words = f"{self.spec.name} has ended, and another program has taken its port {taken[0]}"
                if self._port_lost is not None:
                    self._port_lost(words)
                    return
                self._say(words)
                continue
            try:
                process = await self._spawn()
            except OSError as error:  # no memory, no disk: the old process is still ended, so the loop comes back here
                self._say(f"{self.spec.name} cannot start: {error}")

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        """Its exit code, when it has ended; until then its log is kept short."""
        ended = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait([ended], timeout=LOG_LOOK_S))[0]:
                with suppress(OSError):  # a full disk: the next look comes
                    await asyncio.to_thread(self._log.cut_if_long)
            return ended.result()
        finally:
            ended.cancel()

    def _say(self, line: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the part must be kept running all the same
            self._on_restart(line)

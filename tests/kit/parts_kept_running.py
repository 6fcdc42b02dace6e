"""A processor and a sink that are started again when they end, as their supervisor would, and can be killed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from typing import Self

from axonstream.settings.settings import Settings
from kit.printed import end, read_on
from kit.processor_process import start_processor
from kit.sink_process import start_sink

_STARTS: dict[str, Callable[[Settings], subprocess.Popen[str]]] = {"processor": start_processor, "sink": start_sink}


class PartsKeptRunning:
    """Started on entry; killed on exit. Somebody has to ask for the parts that ended to be started again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.restarts = 0

    async def __aenter__(self) -> Self:
        await self.start_again_what_ended()
        self.restarts = 0
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.kill)

    async def start_again_what_ended(self) -> None:
        """Not waited for."""
        for name, start in _STARTS.items():
            process = self._running.get(name)
            if process is None or process.poll() is not None:
                if process is not None:
                    end(process)
                self._running[name] = start(self._settings)
                read_on(self._running[name])
                self.restarts += 1

    def kill(self) -> None:
        """kill -9 of both."""
        for process in self._running.values():
            end(process)
        self._running.clear()

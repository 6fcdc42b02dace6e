"""Processors that a test starts, kills, stops and freezes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from axonstream.process.fail_stop import EXIT_CODE
from axonstream.settings.settings import Settings
from kit.event_load import EventLoad
from kit.printed import end
from kit.processor_process import start_processor, wait_until_ready
from kit.summaries_watch import SummariesWatch

ENDS_WITHIN_S = 60


@dataclass
class Workers:
    """Processors by their instance names' numbers."""

    settings: Settings
    running: dict[int, subprocess.Popen[str]] = field(default_factory=dict[int, "subprocess.Popen[str]"])

    async def start(self, *numbers: int) -> None:
        """Returns when all of them are ready."""
        for number in numbers:
            instance = {"processor_instance": f"processor-{number}"}
            self.running[number] = start_processor(self.settings.model_copy(update=instance))
        await asyncio.gather(*(asyncio.to_thread(wait_until_ready, self.running[number]) for number in numbers))

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            end(self.running.pop(number))

    async def stop(self, number: int) -> None:
        """Gracefully."""
        process = self.running.pop(number)
        process.send_signal(signal.SIGTERM)
        try:
            assert await asyncio.to_thread(process.wait, ENDS_WITHIN_S) == 0
        finally:
            end(process)

    async def freeze_beyond_the_session(self, number: int, watch: SummariesWatch, load: EventLoad) -> None:
        """Until the others have taken over. Thawed, it ends, with output that it may not write, or joins again."""
        process = self.running[number]
        process.send_signal(signal.SIGSTOP)
        await watch.caught_up()
        process.send_signal(signal.SIGCONT)
        await load.more(1000)
        await watch.caught_up()

    async def work_alone(self, number: int, watch: SummariesWatch) -> None:
        """Until everything is folded by the one that was frozen; should it end, it is started again."""
        catching_up = asyncio.create_task(watch.caught_up())
        while not catching_up.done():
            if self.running[number].poll() is not None:
                assert self.running[number].returncode == EXIT_CODE
                self.kill(number)
                await self.start(number)
            await asyncio.wait([catching_up], timeout=0.1)
        await catching_up


@asynccontextmanager
async def workers(settings: Settings) -> AsyncGenerator[Workers]:
    """None runs at the start; those that run at the end are killed."""
    group = Workers(settings)
    try:
        yield group
    finally:
        group.kill(*group.running)

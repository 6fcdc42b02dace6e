"""Gateways, a processor and a sink as processes, kept running as `axonstream up` keeps them, on given servers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from axonstream.deploy.init import initialise
from axonstream.local.free_ports import free_port
from axonstream.local.supervised_part import PartSpec, SupervisedPart
from axonstream.settings.settings import Settings
from kit.until import until

HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
RESTARTS_WITHIN_S = 60.0
# Their defaults are the local ones.
_SECRET_FIELDS = {name for name, info in Settings.model_fields.items() if info.annotation is SecretStr}


class RunningStack:
    """The parts of one installation. `restarts` has a line for every time the supervisor had to start one again."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.restarts: list[str] = []
        self.urls: list[str] = []
        self._directory = directory
        self._parts: dict[str, SupervisedPart] = {}
        for name in ("run", "logs"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    async def start(self, gateways: int, workers: int = 1) -> None:
        """Topics, schema, then every part, `workers` of processor and of sink; returns when all are ready."""
        await initialise(self.settings)
        for number in range(workers):
            self._add(f"processor-{number}", "processor", AXONSTREAM_PROCESSOR_INSTANCE=f"processor-{number}")
            self._add(f"sink-{number}", "sink", AXONSTREAM_SINK_INSTANCE=f"sink-{number}")
        for number in range(gateways):
            port = free_port()
            self.urls.append(f"http://127.0.0.1:{port}")
            self._add(f"gateway-{number}", "gateway", AXONSTREAM_GATEWAY_PORT=str(port))
        async with asyncio.TaskGroup() as group:
            for part in self._parts.values():
                group.create_task(part.start())

    async def stop(self) -> None:
        """Gateways first."""
        for are_gateways in (True, False):
            some = [part for name, part in self._parts.items() if name.startswith("gateway") == are_gateways]
            await asyncio.gather(*(part.stop() for part in some))

    def pid(self, part: str) -> int:
        """0 while its supervisor is writing the file."""
        return int((self._directory / "run" / f"{part}.pid").read_text() or 0)

    def log(self, part: str) -> str:
        return (self._directory / "logs" / f"{part}.log").read_text(errors="replace")

    async def kill(self, part: str) -> None:
        """kill -9; returns when its successor has been started."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        await until(lambda: self.pid(part) not in (0, before), f"{part} started again", RESTARTS_WITHIN_S)

    async def restart(self, part: str) -> None:
        """As an operator rolls a part: SIGTERM, wait for its end, start its successor; returns when that is ready."""
        await self.hold(part)
        await self.go_on(part)

    @asynccontextmanager
    async def without(self, part: str) -> AsyncGenerator[None]:
        """The part is stopped meanwhile, and ready again afterwards."""
        await self.hold(part)
        yield
        await self.go_on(part)

    async def hold(self, part: str) -> None:
        """Stop it; `go_on` starts its successor."""
        await self._parts[part].stop()

    async def go_on(self, part: str) -> None:
        """Returns when the successor is ready."""
        await self._parts[part].start()

    def _add(self, name: str, command: str, **environment: str) -> None:
        given = {
            f"AXONSTREAM_{field.upper()}": str(value)
            for field, value in self.settings.model_dump(exclude=_SECRET_FIELDS, exclude_none=True).items()
        }
        given["AXONSTREAM_SERVER_SECRET"] = self.settings.server_secret.get_secret_value()
        if "api_keys" in self.settings.model_fields_set:  # empty, it would mean none
            given["AXONSTREAM_API_KEYS"] = self.settings.api_keys.get_secret_value()
        spec = PartSpec(name, (command,), {**given, **environment}, stop_grace_s=10)
        self._parts[name] = SupervisedPart(spec, self._directory, self.restarts.append)


@asynccontextmanager
async def running_stack(
    settings: Settings, directory: Path, gateways: int = 1, workers: int = 1
) -> AsyncGenerator[RunningStack]:
    """The stack for a block of code; everything is stopped at the end."""
    stack = RunningStack(settings, directory)
    try:
        await stack.start(gateways, workers)
        yield stack
    finally:
        await stack.stop()

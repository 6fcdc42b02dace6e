"""Control data that follows its topic in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.settings.settings import Settings


@asynccontextmanager
async def following(settings: Settings) -> AsyncGenerator[ControlLog]:
    """One that has read the topic to its end."""
    control = ControlLog(settings, ControlData())
    try:
        async with asyncio.timeout(60):
            await control.start()
        yield control
    finally:
        await control.stop()

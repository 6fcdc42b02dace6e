"""Bulk requests of one tenant whose bodies do not come: as many as there are turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from gateway.publishing.ingest import BULK_AT_ONCE, BULK_OF_A_TENANT
from kit.offline_gateway import HEADERS, OfflineGateway
from kit.until import until


@asynccontextmanager
async def held_bulk_requests(offline: OfflineGateway) -> AsyncGenerator[httpx.AsyncClient]:
    """A client for a block of code in which the tenant has all the turns it may have; after it, they are ended."""
    begun: list[int] = []

    async def never() -> AsyncGenerator[bytes]:
        begun.append(1)
        yield b"["
        await asyncio.Event().wait()

    async with offline.client() as client:
        posts = (client.post("/events", content=never(), headers=HEADERS) for _ in range(BULK_AT_ONCE))
        held = [asyncio.create_task(post) for post in posts]
        try:
            await until(lambda: len(begun) >= BULK_OF_A_TENANT, "bulk requests are under way", 10)
            yield client
        finally:
            for task in held:
                task.cancel()
            await asyncio.wait(held)

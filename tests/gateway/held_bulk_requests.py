"""Bulk requests of one tenant that Kafka does not answer: as many as there are turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from axonstream.gateway.publishing.ingest import BULK_AT_ONCE, BULK_OF_A_TENANT
from kit.offline_gateway import HEADERS, OfflineGateway
from kit.until import until

_STUCK = "never acknowledged"


@asynccontextmanager
async def held_bulk_requests(offline: OfflineGateway) -> AsyncGenerator[httpx.AsyncClient]:
    """A client for a block of code in which the tenant has all the turns it may have; after it, they are ended."""
    offline.log.stuck = _STUCK.encode()
    event = {"identifier": _STUCK, "payload": {}, "channel_id": 1}
    async with offline.client() as client:
        posts = (client.post("/events", json=[event], headers=HEADERS) for _ in range(BULK_AT_ONCE))
        held = [asyncio.create_task(post) for post in posts]
        try:
            await until(lambda: offline.log.waiting >= BULK_OF_A_TENANT, "bulk requests are under way", 60)
            yield client
        finally:
            for task in held:
                task.cancel()
            await asyncio.wait(held)

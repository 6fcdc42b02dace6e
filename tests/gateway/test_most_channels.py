"""What is said to a publisher for whom no more channels are made is done, and helps."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from gateway_in_process import gateway_in_process

from axonstream.gateway.control.data import MAX_PUBLISHED_CHANNELS
from axonstream.settings.settings import Settings

pytestmark = pytest.mark.services

HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
FIRST = 1000  # of those that publishing makes
AT_ONCE = 2500
BEYOND = FIRST + MAX_PUBLISHED_CHANNELS


def event(channel_id: int) -> dict[str, Any]:
    return {"identifier": "i", "payload": {}, "channel_id": channel_id}


def test_at_the_limit_each_way_that_is_named_helps(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with gateway_in_process(server_settings, publish_timeout_ms=60_000) as client:
            client.headers.update(HEADERS)

            async def published(channel_id: int) -> httpx.Response:
                return await client.post("/event", json=event(channel_id))

            for first in range(FIRST, BEYOND, AT_ONCE):
                lines = b"\n".join(orjson.dumps(event(number)) for number in range(first, first + AT_ONCE))
                bulk = await client.post("/events", content=lines)
                assert bulk.json()["accepted"] == AT_ONCE, bulk.text[:500]
            refused = await published(BEYOND)
            assert refused.status_code == 409, refused.text
            assert f"publishing has made {MAX_PUBLISHED_CHANNELS} channels already" in refused.text
            assert (
                "make one with POST /channel and publish to its id, or delete channels that are not used"
                in refused.text
            )

            assert (await published(FIRST)).status_code == 201  # "publish to a channel that exists"
            made = await client.post("/channel", json={"name": "made", "appId": 1})  # "make one with"
            assert (await published(made.json()["id"])).status_code == 201
            assert (await published(BEYOND)).status_code == 409
            gone = await client.delete(f"/channel/{FIRST}")  # "delete channels that are not used"
            assert gone.status_code == 200
            assert (await published(BEYOND)).status_code == 201
            assert (await published(BEYOND + 1)).status_code == 409

    asyncio.run(scenario())

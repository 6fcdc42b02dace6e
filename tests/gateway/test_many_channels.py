"""A tenant with as many channels as it may have."""

from __future__ import annotations

import asyncio

from gateway.control.records import Channel, ControlRecord, Kind, Place
from kit.offline_gateway import HEADERS, OfflineGateway


def test_other_requests_have_their_turn_while_many_channels_are_listed(offline: OfflineGateway) -> None:
    for number in range(10, 2010):
        place = Place(Kind.CHANNEL, "1", number)
        offline.control.data.apply(ControlRecord(place, Channel(number, 1, "c", number, number)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def listed(path: str) -> int:
        nonlocal turns
        turns = 0
        answer = await offline._send("GET", path, {"headers": HEADERS})
        assert answer.status_code == 200
        return turns

    async def scenario() -> None:
        waiting = asyncio.create_task(others())
        few, many = await listed("/apps"), await listed("/apps/1/channels")
        assert many >= few + 5
        waiting.cancel()

    asyncio.run(scenario())

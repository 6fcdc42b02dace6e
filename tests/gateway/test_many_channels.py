"""A tenant with as many channels as it may have."""

from __future__ import annotations

import asyncio

import pytest

from axonstream.gateway.control.records import Channel, ControlRecord, Kind, Place
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


@pytest.mark.slow
def test_other_requests_have_their_turn_while_events_of_unknown_channels_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S5: the refusals of 50,000 unknown channels were made in one go, 200 ms of CPU in which nobody had a turn."""
    offline = OfflineGateway(strict_channels=True)
    body = b"\n".join(b'{"identifier":"i","payload":{},"channel_id":%d}' % (100 + at) for at in range(20_000))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def catch_up() -> bool:
        nonlocal turns
        turns = 0
        return True

    async def scenario() -> None:
        waiting = asyncio.create_task(others())
        monkeypatch.setattr(offline.control, "catch_up", catch_up)
        answer = await offline._send("POST", "/events", {"headers": HEADERS, "content": body})
        assert (answer.json()["accepted"], len(answer.json()["rejected"])) == (0, 20_000)
        assert turns >= 8
        waiting.cancel()

    asyncio.run(scenario())

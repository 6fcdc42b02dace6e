"""A sender that stalls, sends too much or never ends is told so; it holds no turn, and what it holds is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from http_by_hand import PATIENCE_S
from starlette.types import Message

from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.http.request_body import RequestBody
from axonstream.gateway.publishing.ingest import BULK_AT_ONCE
from kit.offline_gateway import HEADERS, OfflineGateway
from kit.until import until

EVENT = {"identifier": "step", "payload": {}, "channel_id": 1}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}


class Sender:
    """Sends what it is given, each with more to come, and then nothing."""

    def __init__(self, *pieces: bytes, pause_s: float = 0.0, ends: bool = False) -> None:
        self.pieces = list(pieces)
        self.pause_s = pause_s
        self.ends = ends

    async def receive(self) -> Message:
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=self.pause_s)
        if not self.pieces:
            return await asyncio.get_running_loop().create_future()
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.ends}


def body_of(sender: Sender, room: BodyRoom | None = None) -> RequestBody:
    return RequestBody({}, sender.receive, room or BodyRoom())


def test_a_body_of_which_nothing_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.gateway.http.request_body.STALL_S", 0.05)

    async def scenario() -> None:
        with pytest.raises(RefusedError, match="nothing of the body came"):
            await body_of(Sender(b"{")).read(100, "1")

    asyncio.run(scenario())


def test_a_body_that_trickles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.gateway.http.request_body.STALL_S", 0.2)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(RefusedError, match="bytes a second"):
                await body_of(Sender(*[b" "] * 2000, pause_s=0.01)).read(1 << 20, "1")

    asyncio.run(scenario())


def test_a_body_that_never_ends_is_refused_at_its_deadline_however_fast_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S11: 16 KiB a second kept a turn for 34 minutes."""
    monkeypatch.setattr("axonstream.gateway.http.request_body.DEADLINE_S", 0.3)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(RefusedError, match="not all of it within"):
                await body_of(Sender(*[b" " * 10_000] * 2000, pause_s=0.01)).read(32 << 20, "1")

    asyncio.run(scenario())


def test_bulk_bodies_that_do_not_come_hold_no_turn(offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """S11: three unfinished bodies of one tenant and one of another, and the next bulk request was 503."""
    monkeypatch.setattr("axonstream.gateway.http.request_body.STALL_S", 2 * PATIENCE_S)  # none is given up meanwhile
    begun: list[int] = []

    async def never() -> AsyncGenerator[bytes]:
        begun.append(1)
        yield b"["
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), offline.client() as client:
            slow = [
                asyncio.create_task(client.post("/events", content=never(), headers=headers))
                for headers in (HEADERS, OTHER)
                for _ in range(2 * BULK_AT_ONCE)
            ]
            await until(lambda: len(begun) == len(slow), "all bodies have begun", PATIENCE_S)
            for headers in (HEADERS, OTHER):
                answer = await client.post("/events", json=[EVENT], headers=headers)
                assert answer.json()["accepted"] == 1
            assert not any(task.done() for task in slow)
            for task in slow:
                task.cancel()
            await asyncio.wait(slow)

    asyncio.run(scenario())


async def held_by(room: BodyRoom, tenant_id: str, size: int, bodies: list[asyncio.Task[bytes]]) -> None:
    """A body of so many bytes that does not end, once they have come."""
    before = room.size
    bodies.append(asyncio.create_task(body_of(Sender(b"x" * size), room).read(1 << 20, tenant_id)))
    await until(lambda: room.size != before or bodies[-1].done(), "its bytes have come", PATIENCE_S)


def test_bytes_of_bodies_are_bounded_and_who_holds_most_gives_way() -> None:
    """S11: turns bounded the memory of bodies; what bounds it now is shared by what each holds, not by what it says."""
    room = BodyRoom(1000)

    async def scenario() -> None:
        bodies: list[asyncio.Task[bytes]] = []
        for size in (200, 300, 250):
            await held_by(room, "1", size, bodies)
        await held_by(room, "1", 100, bodies)
        with pytest.raises(UnavailableError, match="too many bytes"):  # its three quarters
            await bodies[3]
        await held_by(room, "2", 250, bodies)
        await held_by(room, "3", 240, bodies)
        with pytest.raises(UnavailableError, match="too many bytes"):  # the largest of the tenant that holds most
            await bodies[1]
        assert [body.done() for body in bodies] == [False, True, False, True, False, False]
        assert room.size == 200 + 250 + 250 + 240
        for body in bodies:
            body.cancel()
        await asyncio.wait(bodies)

    asyncio.run(scenario())


def test_what_a_body_holds_is_given_back_however_its_request_ends() -> None:
    """S11: a leak of the room would end in 503 for all."""
    room = BodyRoom(1000)

    async def scenario() -> None:
        whole = body_of(Sender(b"x" * 700, b"y" * 10, ends=True), room)
        assert len(await whole.read(1000, "1")) == 710
        assert room.size == 710
        other = body_of(Sender(b"x" * 400), room)
        with pytest.raises(UnavailableError):  # what is whole is not cut off
            await other.read(1000, "2")
        other.close()
        whole.close()
        large = body_of(Sender(b"x" * 50, b"x" * 60), room)
        with pytest.raises(RefusedError, match="larger than 100 bytes"):
            await large.read(100, "1")
        large.close()
        large.close()
        assert room.size == 0
        assert room._coming == room._of_tenants == {}

    asyncio.run(scenario())

"""A sender that stalls is told so, early."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from gateway.errors import RefusedError
from gateway.publishing.request_body import RequestBody


def test_a_body_of_which_nothing_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.publishing.request_body.STALL_S", 0.05)
    pieces: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def stalled() -> Message:
        if pieces:
            return pieces.pop()
        return await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        with pytest.raises(RefusedError, match="nothing of the body came"):
            await RequestBody({}, stalled).read(100)

    asyncio.run(scenario())


def test_a_body_that_trickles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.publishing.request_body.STALL_S", 0.2)

    async def trickling() -> Message:
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def scenario() -> None:
        async with asyncio.timeout(10):
            with pytest.raises(RefusedError, match="bytes a second"):
                await RequestBody({}, trickling).read(1 << 20)

    asyncio.run(scenario())

"""The clients over a transport that answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from scripted_server import Ask, Clock, MakeAsk, Server

from axonstream import AsyncAxonPush, AxonPush


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sync", "async"])
def make_ask(request: pytest.FixtureRequest, server: Server, clock: Clock) -> Iterator[MakeAsk]:
    """Makes a client of either kind, and the `ask` that talks to it; jitter is 1.0 unless it is given."""
    with asyncio.Runner() as runner:

        def make(*, jitter: Callable[[], float] = lambda: 1.0, **options: Any) -> Ask:
            transport = httpx.MockTransport(server)
            client: Any
            if request.param == "sync":
                client = AxonPush(
                    "ak_local", "1", transport=transport, sleep=clock.sleep, clock=clock, jitter=jitter, **options
                )
            else:
                client = AsyncAxonPush(
                    "ak_local", "1", transport=transport, sleep=clock.async_sleep, clock=clock, jitter=jitter, **options
                )

            def ask(action: Callable[[Any], Any]) -> Any:
                async def wait(result: Awaitable[Any]) -> Any:
                    return await result

                result = action(client)
                return runner.run(wait(result)) if isinstance(result, Awaitable) else result

            return ask

        yield make


@pytest.fixture
def ask(make_ask: MakeAsk) -> Ask:
    return make_ask()

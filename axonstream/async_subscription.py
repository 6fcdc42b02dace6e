"""Following events, for asyncio. `subscription` is generated from it; what both share is in live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import httpx

from axonstream.answers import Answer, answer_of
from axonstream.errors import APIConnectionError
from axonstream.event_contract import EventType
from axonstream.live import SILENCE_SECONDS, Following, LiveCall, channel_stream
from axonstream.results import Event
from axonstream.retries import RetryPolicy


class AsyncSubscription:
    """Events as they are published, each once, in the order of their partition; endless.

        async with client.channels.subscribe(1) as events:
            async for event in events: ...

    Once it is entered, everything that is published comes. A lost connection is made again where it was, at any
    gateway, without hole or double, for up to five minutes without a server; so is what this reader was too slow for.
    An event that was published twice with one dedup key may rarely come twice: both have the same `event_id`.
    Raises the errors of `axonstream.errors`. Not shared between tasks.
    """

    def __init__(self, follow: AsyncFollow, call: LiveCall, since: str | None) -> None:
        self._http = follow.http
        self._sleep = follow.sleep
        self._connection_error = follow.connection_error
        self._following = Following(call, follow.policy, since)
        self._connection = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None

    @property
    def position(self) -> str | None:
        """Where the last event was: pass it as `since` to go on from there, in another process too."""
        return self._following.position

    @property
    def missed(self) -> int:
        """How often events were gone before they could be read: they had expired, because this reader was days late, or
        Kafka has lost the end of its log. After such a loss the last events before it may come again.
        """
        return self._following.missed

    async def aclose(self) -> None:
        """Ends the connection; may be called again."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            if (event := self._following.next()) is not None:
                return event
            if self._following.must_resume or (chunk := await self._chunk()) is None:
                await self._open()
            else:
                self._following.feed(chunk)

    async def _chunk(self) -> bytes | None:
        """None when the connection is lost or has ended: then it waits before it is made again."""
        try:
            chunk = None if self._chunks is None else await anext(self._chunks, None)
            outcome = None
        except httpx.RequestError as error:
            chunk, outcome = None, self._connection_error(error)
        if chunk is None:
            await self._sleep(self._following.wait_after(outcome))
        return chunk

    async def _open(self) -> None:
        while (outcome := await self._attempt()) is not None:
            await self._sleep(self._following.wait_after(outcome))

    async def _attempt(self) -> Answer | APIConnectionError | None:
        """None when the stream is open."""
        await self.aclose()
        call = self._following.call
        streaming = self._http().stream(
            "GET", call.path, params=call.params, headers=self._following.headers(), timeout=SILENCE_SECONDS
        )
        try:
            response = await self._connection.enter_async_context(streaming)
            if response.status_code != 200:
                await response.aread()
                return answer_of(response)
        except httpx.RequestError as error:
            return self._connection_error(error)
        self._following.opened(response.headers)
        self._chunks = response.aiter_bytes()
        return None


class AsyncFollow:
    """How a client's subscriptions connect and wait."""

    def __init__(
        self,
        http: Callable[[], httpx.AsyncClient],
        connection_error: Callable[[httpx.RequestError], APIConnectionError],
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.http = http
        self.connection_error = connection_error
        self.policy = policy
        self.sleep = sleep

    def __call__(self, call: LiveCall, since: str | None) -> AsyncSubscription:
        return AsyncSubscription(self, call, since)


class AsyncChannels:
    """`client.channels`."""

    def __init__(self, follow: AsyncFollow) -> None:
        self._follow = follow

    def subscribe(
        self,
        channel_id: int | str,
        *,
        identifier: str | None = None,
        agent_id: str | None = None,
        event_type: EventType | str | None = None,
        trace_id: str | None = None,
        since: str | None = None,
    ) -> AsyncSubscription:
        """The channel's events from now on, or from `since` (a subscription's `position`)."""
        call = channel_stream(channel_id, identifier, agentId=agent_id, eventType=event_type, traceId=trace_id)
        return self._follow(call, since)

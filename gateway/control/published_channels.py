"""Publishing to a channel that nobody made: it is made first, or refused where the server is strict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from axonstream.gateway.control.audit_entry import MOST_SHOWN, Action, Actor, entry
from axonstream.gateway.control.data import FIRST_APP, MAX_PUBLISHED_CHANNELS
from axonstream.gateway.control.log import Control, not_caught_up
from axonstream.gateway.control.records import Channel, ControlRecord, Kind, Place
from axonstream.gateway.http.errors import RefusedError, UnavailableError


class PublishedChannels:
    """Asked only for channels that the tenant does not have: a known one costs the publisher one set lookup.

    One write of a tenant at a time, so that a thousand publishers of one new channel make one record of it.
    """

    def __init__(self, control: Control, clock: Callable[[], int], timeout_ms: int, *, strict: bool) -> None:
        self._control = control
        self._clock = clock
        self._timeout_s = timeout_ms / 1000
        self._strict = strict

    async def exists(self, tenant_id: str, channel_id: int) -> bool:
        """Whether the tenant has the channel, which another gateway may have made just now. Raises UnavailableError."""
        known = self._control.data.tenant(tenant_id).channel_apps
        if channel_id not in known and not await self._control.catch_up() and channel_id not in known:
            raise not_caught_up()
        return channel_id in known

    async def make(self, tenant_id: str, channel_id: int, actor: Actor) -> None:
        """Return when the tenant has the channel; `actor` is who publishes to it, for the audit log.

        Raises RefusedError, 404 where the server is strict and 409 at the limit, and UnavailableError without Kafka.
        """
        if await self.make_all(tenant_id, [channel_id], actor):
            raise self.refusal(channel_id)

    def refusal(self, channel_id: int) -> RefusedError:
        """Why a channel that `make_all` refuses was not made."""
        return _no_such_channel(channel_id) if self._strict else _too_many(channel_id)

    async def make_all(self, tenant_id: str, channel_ids: Iterable[int], actor: Actor) -> set[int]:
        """As `make`, for many at once; which of them are refused."""
        try:
            async with asyncio.timeout(self._timeout_s), self._control.data.tenant(tenant_id).making_channels:
                return await self._make_all(tenant_id, channel_ids, actor)
        except TimeoutError:
            raise UnavailableError("the channel could not be made in time", "Publish again.") from None

    async def _make_all(self, tenant_id: str, channel_ids: Iterable[int], actor: Actor) -> set[int]:
        tenant = self._control.data.tenant(tenant_id)
        caught_up = await self._control.catch_up()  # another gateway may have made it just now
        missing = sorted({number for number in channel_ids if number not in tenant.channel_apps})
        if missing and not caught_up and (self._strict or not self._control.data.loaded):
            raise not_caught_up()
        if self._strict:
            return set(missing)
        room = max(0, MAX_PUBLISHED_CHANNELS - len(tenant.published_channels))
        now = self._clock()
        made = [
            ControlRecord(
                Place(Kind.PUBLISHED_CHANNEL, tenant_id, number),
                Channel(number, FIRST_APP, f"channel {number}", now, now),
            )
            for number in missing[:room]
        ]
        if made:
            numbers = missing[:room]
            subject = f"channel {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} channels"
            after = {"channels": numbers[:MOST_SHOWN], "app_id": FIRST_APP}
            published = entry(actor, Action.CHANNEL_PUBLISH, subject, at=now, tenant_id=tenant_id, after=after)
            await self._control.write(made, published)
        return set(missing[room:])


def _no_such_channel(channel_id: int) -> RefusedError:
    return RefusedError(
        404, f"there is no channel {channel_id}", "Make one with POST /channel, and publish to the id that it answers."
    )


def _too_many(channel_id: int) -> RefusedError:
    return RefusedError(
        409,
        f"there is no channel {channel_id}, and publishing has made {MAX_PUBLISHED_CHANNELS} channels already",
        "Publish to a channel that exists, make one with POST /channel and publish to its id, or delete channels that "
        "are not used.",
    )

"""Turns for what only a few requests may do at once: tenant by tenant, and never all of them to one tenant."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from axonstream.gateway.access.shares import Shares
from axonstream.gateway.http.errors import UnavailableError


class ConcurrencyLimit:
    """`at_once` turns, `per_tenant` of them for one: its slow requests leave the rest to the others (see `Shares`).

    A turn that becomes free goes to the tenant that has waited longest for its next one, however many requests of
    another wait; of one tenant, first come, first served. `wait_s` None waits for as long as it takes.
    """

    def __init__(self, at_once: int, per_tenant: int, wait_s: float | None, refusal: str) -> None:
        self.at_once = at_once
        self._shares = Shares(at_once, per_tenant)
        self._wait_s = wait_s
        self._refusal = refusal
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by tenant, in the order of their next turns

    @property
    def in_use(self) -> int:
        """Turns that are taken."""
        return self._shares.in_use

    @property
    def waiting(self) -> int:
        """Requests that have no turn yet."""
        return sum(map(len, self._waiting.values()))

    def contended(self, tenant_id: str) -> bool:
        """Whether somebody waits, or would have to, for a turn that the tenant's end would make free."""
        return not self._shares.has_room_for(tenant_id)

    @asynccontextmanager
    async def turn(self, tenant_id: str) -> AsyncGenerator[None]:
        """One turn. Raises UnavailableError, with the refusal, when there is none within `wait_s`."""
        if self._shares.has_room_for(tenant_id) and tenant_id not in self._waiting:
            self._shares.take(tenant_id)
        else:
            await self._wait(tenant_id)
        try:
            yield
        finally:
            self._end(tenant_id)

    async def _wait(self, tenant_id: str) -> None:
        given = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append(given)
        try:
            async with asyncio.timeout(self._wait_s):
                await given
        except TimeoutError:
            self._leave(tenant_id, given)
            raise UnavailableError(self._refusal, "Send the request again.") from None
        except asyncio.CancelledError:
            self._leave(tenant_id, given)
            raise

    def _leave(self, tenant_id: str, given: asyncio.Future[None]) -> None:
        """Wait no longer; a turn that was given at this very moment is given back."""
        if not given.cancelled():
            self._end(tenant_id)
            return
        requests = self._waiting.get(tenant_id, deque())
        if given in requests:
            requests.remove(given)
            if not requests:
                del self._waiting[tenant_id]

    def _end(self, tenant_id: str) -> None:
        self._shares.give_back(tenant_id)
        while (following := next(filter(self._shares.has_room_for, self._waiting), None)) is not None:
            requests = self._waiting.pop(following)
            given = requests.popleft()
            if requests:
                self._waiting[following] = requests  # behind the others
            if not given.cancelled():
                self._shares.take(following)
                given.set_result(None)

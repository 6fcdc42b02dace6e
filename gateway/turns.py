"""Turns for what only a few requests may do at once: first come, first served, and never all of them to one tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.errors import UnavailableError


class _Share:
    """What one tenant may have; it is there as long as a request of the tenant waits or has a turn."""

    def __init__(self, most: int) -> None:
        self.free = asyncio.Semaphore(most)
        self.requests = 0


class Turns:
    """`at_once` turns, `of_a_tenant` of them for one: its slow requests leave the rest to the others.

    `wait_s` None waits for as long as it takes.
    """

    def __init__(self, at_once: int, of_a_tenant: int, wait_s: float | None, refusal: str) -> None:
        self.at_once = at_once
        self.in_use = 0
        self._free = asyncio.Semaphore(at_once)
        self._of_a_tenant = of_a_tenant
        self._wait_s = wait_s
        self._refusal = refusal
        self._shares: dict[str, _Share] = {}

    @property
    def waiting(self) -> int:
        """Requests that have no turn yet."""
        return sum(share.requests for share in self._shares.values()) - self.in_use

    def contended(self, tenant_id: str) -> bool:
        """Whether somebody waits, or would have to, for a turn that the tenant's end would make free."""
        share = self._shares.get(tenant_id)
        return self._free.locked() or (share is not None and share.free.locked())

    @asynccontextmanager
    async def turn(self, tenant_id: str) -> AsyncGenerator[None]:
        """One turn. Raises UnavailableError, with the refusal, when there is none within `wait_s`."""
        share = self._shares.setdefault(tenant_id, _Share(self._of_a_tenant))
        share.requests += 1
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(self._wait_s):
                        await held.enter_async_context(share.free)
                        await held.enter_async_context(self._free)
                except TimeoutError:
                    raise UnavailableError(self._refusal, "Send the request again.") from None
                self.in_use += 1
                held.callback(self._end_turn)
                yield
        finally:
            share.requests -= 1
            if not share.requests:
                del self._shares[tenant_id]

    def _end_turn(self) -> None:
        self.in_use -= 1

"""Wait for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

LOOK_S = 0.02


async def until(
    condition: Callable[[], Awaitable[bool] | bool], what: str | Callable[[], str], deadline_s: float
) -> float:
    """Returns when `condition` holds, with the seconds that took; fails with `what` after `deadline_s`."""
    started = monotonic()
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return monotonic() - started
        if monotonic() - started > deadline_s:
            raise AssertionError(f"after {deadline_s:.0f} s still not: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(LOOK_S)

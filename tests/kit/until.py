"""Wait for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

LOOK_S, LONGEST_LOOK_S = 0.02, 0.25


async def until(
    condition: Callable[[], Awaitable[bool] | bool], what: str | Callable[[], str], deadline_s: float
) -> float:
    """Returns when `condition` holds, with the seconds that took; fails with `what` after `deadline_s`.

    A condition that is awaited asks a server, mostly. It pauses for as long as it takes, and for a twentieth of the
    wait so far: looking all the time takes the CPU from what is waited for.
    """
    started = monotonic()
    while True:
        looked, pause_s = monotonic(), LOOK_S
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
            pause_s = max(LOOK_S, monotonic() - looked, (looked - started) / 20)
        if holds:
            return monotonic() - started
        if monotonic() - started > deadline_s:
            raise AssertionError(f"after {deadline_s:.0f} s still not: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(min(pause_s, LONGEST_LOOK_S))

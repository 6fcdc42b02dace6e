"""Long work on an event loop, in pieces: heartbeats and other callers have their turn in between."""

from __future__ import annotations

import asyncio
from time import perf_counter

PIECE_S = 0.002  # with one piece of work on top, far below what a heartbeat or a caller minds


class LoopShare:
    """Ask between two pieces of work: `if share.is_over(): await share.give_way()`.

    Does not interrupt a piece: each must be short by itself.
    """

    def __init__(self) -> None:
        self._ends = perf_counter() + PIECE_S

    def is_over(self) -> bool:
        """Whether the loop was held for long enough. Takes 0.1 us."""
        return perf_counter() > self._ends

    async def give_way(self) -> None:
        """Let everything run that is ready."""
        await asyncio.sleep(0)
        self._ends = perf_counter() + PIECE_S

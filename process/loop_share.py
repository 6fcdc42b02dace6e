"""Long work on an event loop, in pieces: heartbeats and other callers have their turn in between.

Each turn of the loop runs one piece of long work and SHORT_AT_ONCE short ones, however many wait. So what is neither
(a publish, a heartbeat, a commit) waits for a few ms in each turn, whatever else is under way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from weakref import WeakKeyDictionary

PIECE_S = 0.002  # with one piece of work on top, far below what a heartbeat or a caller minds
SHORT_AT_ONCE = 8  # of about 0.1 ms


class _Line:
    """Those of one event loop that wait for their next piece, first come, first served."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at_once: int) -> None:
        self._loop = loop
        self._at_once = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()

    def join(self) -> asyncio.Future[None]:
        """Done when it is the caller's turn."""
        if not self._waiting:
            self._loop.call_soon(self._turn)
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        return turn

    def _turn(self) -> None:
        released = 0
        while self._waiting and released < self._at_once:
            turn = self._waiting.popleft()
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                released += 1
        if self._waiting:
            self._loop.call_soon(self._turn)


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[_Line, _Line]] = WeakKeyDictionary()


def _lines_of_this_loop() -> tuple[_Line, _Line]:
    loop = asyncio.get_running_loop()
    lines = _lines.get(loop)
    if lines is None:
        lines = _lines[loop] = _Line(loop, 1), _Line(loop, SHORT_AT_ONCE)
    return lines


async def short_turn() -> None:
    """Wait for one of the SHORT_AT_ONCE short turns, before work of about 0.1 ms that many tasks are ready for."""
    await _lines_of_this_loop()[1].join()


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
        """Let everything run that is ready, and one piece of each that waits here already."""
        await _lines_of_this_loop()[0].join()
        self._ends = perf_counter() + PIECE_S

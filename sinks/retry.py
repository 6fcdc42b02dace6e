"""How long to wait before the next attempt; there is no last one."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 2.0


class Backoff:
    """0.1 s, doubling up to 2 s."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def next_s(self) -> float:
        current, self._next_s = self._next_s, min(LONGEST_S, 2 * self._next_s)
        return current

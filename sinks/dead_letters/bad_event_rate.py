"""How many records of a topic were found bad within a minute: a few are set aside, a flood is for a person to judge.

They are counted when they are read: a sink that catches up reads more of them a minute than were written in one.
"""

from __future__ import annotations

from collections import deque

MINUTE_S = 60.0


class BadEventRate:
    """Of one topic, in this process. Times are seconds of one monotonic clock."""

    def __init__(self, most_per_minute: int) -> None:
        self._most = most_per_minute
        self._counts: deque[tuple[float, int]] = deque()
        self._sum = 0

    def admits(self, count: int, now: float) -> bool:
        """Whether so many more stay within the limit; if so, they are counted."""
        while self._counts and self._counts[0][0] <= now - MINUTE_S:
            self._sum -= self._counts.popleft()[1]
        if self._sum + count > self._most:
            return False
        self._counts.append((now, count))
        self._sum += count
        return True

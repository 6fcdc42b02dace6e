"""How soon after one flush the next may start, so that no more parts are made than ClickHouse can merge.

Idle: at once. Under load: at most one flush in `interval_s`, and none closer to the one before than that one took, so
that a ClickHouse that slows down gets fewer and larger parts. An outage is not a slow flush: the pause is bounded.
"""

from __future__ import annotations

MAX_PAUSE_S = 1.0


class Pace:
    """Times are seconds of one monotonic clock."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._earliest = float("-inf")

    def wait_s(self, now: float) -> float:
        """How long to wait before the next flush starts; 0 when it may start now."""
        return max(0.0, self._earliest - now)

    def flushed(self, started: float, ended: float) -> None:
        self._earliest = max(started + self._interval_s, ended + min(ended - started, MAX_PAUSE_S))

"""A token bucket: how often something may be done, with a burst. Plain state: no clock of its own."""

from __future__ import annotations


class TokenBucket:
    """Fills with `per_s` tokens a second up to `most`; may go below zero by one bulk request."""

    __slots__ = ("_at", "_most", "_per_s", "_tokens")

    def __init__(self, per_s: float, most: float, now_s: float) -> None:
        self._per_s = per_s
        self._most = most
        self._tokens = most
        self._at = now_s

    def wait_s(self, now_s: float) -> float:
        """0 when there is a token now; else how long until there is one."""
        self._tokens = min(self._most, self._tokens + max(0.0, now_s - self._at) * self._per_s)
        self._at = now_s
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._per_s

    def take(self, number: int) -> None:
        """After `wait_s`."""
        self._tokens -= number

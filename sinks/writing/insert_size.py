"""How many rows one INSERT may have, so that a slow ClickHouse is given what it can store within the timeout.

Halved when an INSERT runs out of time, down to one row; doubled when one of full size took less than half of its time.
"""

from __future__ import annotations


class InsertSize:
    """`rows` is the size of the next INSERT; times are seconds."""

    def __init__(self, most: int, timeout_s: float) -> None:
        self.rows = most
        self._most = most
        self._timeout_s = timeout_s

    def out_of_time(self, rows: int) -> None:
        """An INSERT of so many rows was not acknowledged within the timeout."""
        self.rows = max(1, min(self.rows, rows) // 2)

    def went_through(self, rows: int, took_s: float) -> None:
        if rows >= self.rows and took_s < self._timeout_s / 2:
            self.rows = min(self._most, 2 * self.rows)

"""How often a process passed each named point of its way, and its end (SIGKILL) at one of them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path


class Passings:
    """Ends the process at the `number`-th passing of `point`; at no point that is called ""."""

    def __init__(self, point: str, number: int) -> None:
        self.point = point
        self._number = number
        self._counts: Counter[str] = Counter()

    def passes(self, point: str) -> None:
        self._counts[point] += 1
        if point == self.point and self._counts[point] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, file: Path) -> None:
        """A line for each point: how often, and its name."""
        file.write_text("\n".join(f"{count} {name}" for name, count in sorted(self._counts.items())))

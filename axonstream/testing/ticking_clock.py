"""A clock of which each test sees the same times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def ticking(start_ms: int = START_MS, step_ms: int = 1000) -> Callable[[], int]:
    """Gives ms since 1970: `start_ms` when it is asked first, then `step_ms` more each time."""
    return partial(next, count(start_ms, step_ms))

"""Times as whole milliseconds since 1970, and as what people and databases read."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_A_MILLISECOND = timedelta(milliseconds=1)


def now_ms() -> int:
    """By the clock of this machine."""
    return time.time_ns() // 1_000_000


def time_of(ms: int) -> datetime:
    """In UTC."""
    return EPOCH + timedelta(milliseconds=ms)


def ms_of(at: datetime) -> int:
    """What is below a millisecond is cut off. `at` has a zone."""
    return (at - EPOCH) // _A_MILLISECOND


def iso_seconds(ms: int) -> str:
    """As `2026-01-31T12:00:00Z`; what is below a second is cut off."""
    return time_of(ms).isoformat(timespec="seconds")[:-6] + "Z"


def iso_milliseconds(ms: int) -> str:
    """As `2026-01-31T12:00:00.000Z`."""
    return time_of(ms).isoformat(timespec="milliseconds")[:-6] + "Z"

"""Fresh event ids: 63 bits, ordered by time within a process."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbits

from axonstream.event_contract import MAX_ID

_COUNTER_BITS = 21


class EventIds:
    """Ids of 42 bits of milliseconds and a 21-bit counter that starts at random.

    Not promised: uniqueness between processes. Events without a dedup key are told apart by their offset, never
    by this id, so that a collision loses nothing.
    """

    def __init__(self, random_bits: Callable[[int], int] = randbits) -> None:
        self._last = 0
        self._random_bits = random_bits

    def next(self, now_ms: int) -> int:
        """The next id; never lower than the one before, also when the clock steps back."""
        floor = now_ms << _COUNTER_BITS
        # A start in the lower half of the counter leaves a million ids before the next millisecond's are touched.
        self._last = floor | self._random_bits(_COUNTER_BITS - 1) if floor > self._last else self._last + 1
        return self._last & MAX_ID

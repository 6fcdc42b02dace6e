"""Events that were delivered a short while ago, so that one which is published again is not delivered twice.

Best effort: the newest `most` events with a dedup key are remembered, by a hash of what makes an event one.
"""

from __future__ import annotations

from typing import Any

from gateway.live_ring import NO_REPEAT


class Repeats:
    """The numbers of the entries that had an event last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[int, int] = {}  # oldest first

    def seen(self, fields: dict[str, Any], number: int) -> int:
        """`number` has this event; the number that had it before, or NO_REPEAT."""
        if "dedup_key" not in fields:
            return NO_REPEAT
        key = hash((fields["tenant_id"], fields["trace_id"], fields["event_id"]))
        before = self._numbers.pop(key, NO_REPEAT)
        self._numbers[key] = number
        if len(self._numbers) > self._most:
            del self._numbers[next(iter(self._numbers))]
        return before

    def remember(self, fields: dict[str, Any]) -> None:
        """A stream that resumes has this event, from before all entries; what is known of it already stays."""
        if "dedup_key" in fields:
            before = self.seen(fields, 0)
            if before > 0:
                self.seen(fields, before)

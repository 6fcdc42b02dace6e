"""Events that were delivered a short while ago, so that one which is published again is not delivered twice.

Best effort: the newest `most` events with a dedup key are remembered, by a hash of what makes an event one.
"""

from __future__ import annotations

from axonstream.contract.event import Event
from axonstream.gateway.live.ring import NO_REPEAT


class Repeats:
    """The numbers of the entries that had an event last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[int, int] = {}  # oldest first

    def seen(self, event: Event, number: int) -> int:
        """`number` has this event; the number that had it before, or NO_REPEAT."""
        if not event.dedup_key:
            return NO_REPEAT
        key = hash((event.tenant_id, event.trace_id, event.event_id))
        before = self._numbers.pop(key, NO_REPEAT)
        self._numbers[key] = number
        if len(self._numbers) > self._most:
            del self._numbers[next(iter(self._numbers))]
        return before

    def remember(self, event: Event) -> None:
        """A stream that resumes has this event, from before all entries; what is known of it already stays."""
        if event.dedup_key:
            before = self.seen(event, 0)
            if before > 0:
                self.seen(event, before)

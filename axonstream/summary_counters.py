"""What a trace's summary counts, written once: fold, packed state, records, columns of INSERTs and reads,
the recounts by SQL, the answers over HTTP and the results of the SDK take their counters from `COUNTERS`.

To add one, write a row at the end of `COUNTERS` and a line in `CounterAttributes` (for type checkers), and a migration
that adds the column to `trace_summaries` and to the view `traces`. A summary from before lacks the counter: where its
trace has events that count, it is not exact any more, and reads count the events themselves. The migration says so of
stored rows: `UPDATE exact = 0 WHERE hasAny(event_types, [...])`.

Only plain Python: the SDK imports it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Counter:
    """The number of a trace's events of some types; `name` is also its column, a UInt64."""

    name: str
    event_types: tuple[str, ...]

    @property
    def wire(self) -> str:
        """Its name in JSON."""
        first, *others = self.name.split("_")
        return first + "".join(map(str.capitalize, others))

    @property
    def counted(self) -> str:
        """The SQL that counts it over rows of events."""
        types = [f"event_type = '{event_type}'" for event_type in self.event_types]
        return f"countIf({' OR '.join(types)})"


COUNTERS = (
    Counter("error_count", ("agent.error",)),
    Counter("tool_call_count", ("agent.tool_call.start",)),
    Counter("handoff_count", ("agent.handoff",)),
)
OLDEST = 3  # counters that every summary and every state has
ERRORS = 0  # the place of error_count
NAMES = tuple(counter.name for counter in COUNTERS)
COLUMNS = ", ".join(NAMES)
COUNTED = ", ".join(counter.counted for counter in COUNTERS)
COUNTED_BY_NAME = ", ".join(f"{counter.counted} AS {counter.name}" for counter in COUNTERS)


def lacks_counts(counters: int, event_types: Collection[str]) -> bool:
    """Whether a summary of the first `counters` counters says too little of a trace that has these event types."""
    return any(event_type in event_types for counter in COUNTERS[counters:] for event_type in counter.event_types)


if TYPE_CHECKING:

    class CounterAttributes(BaseModel):
        """The counters as attributes of the SDK's results."""

        error_count: int = 0
        tool_call_count: int = 0
        handoff_count: int = 0

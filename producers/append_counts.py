"""What an event log has done since it began, and what it holds now: plain numbers beside the work they count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from axonstream.process.durations import Durations


@dataclass(slots=True)
class AppendCounts:
    """Events are counted by batch, so that counting one costs nothing.

    `acknowledgement` has the appends of which every record was acknowledged in time. `events`, `event_bytes` and
    `batches` are what Kafka has acknowledged, also after its callers were told that it did not come in time; the bytes
    are those of the batches as they were sent, keys and framing counted.
    """

    acknowledgement: Durations = field(default_factory=Durations)
    events: int = 0
    event_bytes: int = 0
    batches: int = 0
    refused_batches: int = 0
    replaced_producers: int = 0
    producers_set_aside: int = 0


class Backlog(NamedTuple):
    """What is not acknowledged: callers that wait, events (and their bytes) not sent yet, batches that were sent, and
    those of them that are late, each of a partition that takes nothing."""

    callers: int
    events: int
    event_bytes: int
    batches: int
    late_batches: int = 0

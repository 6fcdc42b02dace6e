"""Consumed records of agent-events, judged: each a line for ClickHouse, or a dead letter. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from producers.verdict import Refusal, verdict
from sinks.dead_letter import DeadLetter
from sinks.event_line import event_line


class EventRow(NamedTuple):
    """A consumed record and the line that stores it."""

    record: Any
    line: bytes


class EventBatch:
    """`records` counts what was added, `size` is the bytes of the lines. The offsets of a partition ascend."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self.rows: list[EventRow] = []
        self.refused: list[DeadLetter] = []
        self.records = self.size = 0

    def add(self, records: Iterable[Any]) -> None:
        """Takes about 8 us a record."""
        epoch, rows = self._epoch, self.rows
        size = count = 0
        for record in records:
            count += 1
            judged = verdict(record.key, record.value)
            if isinstance(judged, Refusal):
                self.refused.append(DeadLetter.of(record, judged.reason))
            else:
                line = event_line(judged, record.value, epoch, record.partition, record.offset)
                size += len(line)
                rows.append(EventRow(record, line))
        self.size += size
        self.records += count

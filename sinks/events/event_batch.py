"""Consumed records of agent-events, judged: each a line for ClickHouse, or a dead letter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from axonstream.contract.record_validation import ValidationFailure, validate_records
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.events.event_line import event_line, line_end
from axonstream.sinks.read_record import ReadRecord


class EventRow(NamedTuple):
    """A consumed record and the line that stores it."""

    record: ReadRecord
    line: bytes


# As EventRow(...), at a third of the cost.
_row: Callable[[tuple[ReadRecord, bytes]], EventRow] = partial(tuple.__new__, EventRow)


class EventBatch:
    """`records` counts what was added, `size` is the bytes of the lines. The offsets of a partition ascend.

    What is of a deleted trace is left out, and so are the markers of deletions.
    """

    def __init__(self, epoch: int, late: LateEvents | None = None) -> None:
        self._epoch = epoch
        self._late = LateEvents() if late is None else late
        self.rows: list[EventRow] = []
        self.refused: list[DeadLetter] = []
        self.records = self.size = 0

    def add(self, records: Sequence[ReadRecord]) -> None:
        """`records` are of one partition, and at least one. Takes about 3 us a record."""
        end = line_end(self._epoch, records[0].partition)
        rows, size = self.rows, 0
        judged, spelt = validate_records(records)
        late, some_deleted = self._late, bool(self._late.deleted)
        for record, event, value in zip(records, judged, spelt, strict=True):
            if isinstance(event, ValidationFailure):
                self._add_refused(record, event)
                some_deleted = bool(late.deleted)
            elif not (some_deleted and late.passes_over(event, record)):
                line = event_line(event, value, end, record.offset, record.timestamp)
                size += len(line)
                rows.append(_row((record, line)))
        self.size += size
        self.records += len(records)

    def _add_refused(self, record: ReadRecord, refusal: ValidationFailure) -> None:
        letter = DeadLetter.of(record, refusal.reason)
        if not (self._late.is_marker(record) or self._late.passes_over_letter(letter, record)):
            self.refused.append(letter)

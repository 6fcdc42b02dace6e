"""What the sink passes over: events that are deleted already, late ones that are refused, and the markers themselves.

A replay, another epoch, a repair or offsets that were rewound so bring nothing back.
"""

from __future__ import annotations

import logging

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import MARKER_KEY, read_marker
from axonstream.contract.event import Event
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.read_record import ReadRecord

log = logging.getLogger(__name__)


class LateEvents:
    """Asked for each record of the log `topic_id`, in the order of its partition. `dropped` counts events."""

    def __init__(self, deleted: DeletedTraces | None = None, topic_id: str = "") -> None:
        self.deleted = DeletedTraces() if deleted is None else deleted
        self.dropped = self._told = 0
        self._topic_id = topic_id

    def is_marker(self, record: ReadRecord) -> bool:
        """Whether the record is a marker; what comes behind it is judged by it, before the control topic is read."""
        if record.key != MARKER_KEY or (marker := read_marker(record.key, record.value)) is None:
            return False
        self.deleted.mark(marker, self._topic_id, record.partition, record.offset)
        return True

    def passes_over(self, event: Event, record: ReadRecord) -> bool:
        """Whether the event is not to be stored; only to be asked while `deleted` is not empty."""
        return self._hides(event.tenant_id, event.trace_id, record)

    def passes_over_letter(self, letter: DeadLetter, record: ReadRecord) -> bool:
        """The same for a record that is no event, by what it says of itself: its bytes are not to be kept either."""
        return bool(self.deleted) and self._hides(*letter.trace(), record)

    def _hides(self, tenant_id: str, trace_id: str, record: ReadRecord) -> bool:
        if not self.deleted.hides(tenant_id, trace_id, self._topic_id, record.partition, record.offset):
            return False
        self.dropped += 1
        return True

    def tell(self) -> None:
        """One line for a batch, whatever its number."""
        if self.dropped > self._told:
            log.info("%s events of deleted traces are not stored (since the start)", self.dropped)
            self._told = self.dropped

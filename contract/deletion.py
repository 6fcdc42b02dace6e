"""A deletion: its record on the control topic, and the marker on agent-events that says from where on it holds.

The record is the durable truth. The marker stands once on every partition, so that processor and sink meet it in the
order of the log: whatever they read again later, the events before it are forgotten again and those behind it are not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from axonstream.event_contract import MAX_ID, MAX_NAME_BYTES, MAX_TIME_MS

MARKER_KEY = b"\x00deletion"  # the key of an event is its trace, which holds no NUL
CONTROL_KEYS = b"deletion/"  # of the control topic: deletion/TENANT/ID
MOST_TRACES = 200  # of one deletion: its marker stays far below the size of a record

_TraceId = Annotated[str, Field(min_length=1, max_length=MAX_NAME_BYTES)]
_TraceIds = Annotated[tuple[_TraceId, ...], Field(max_length=MOST_TRACES)]


class Late(StrEnum):
    """What becomes of events that are published after the deletion."""

    REFUSED = "refused"
    STORED = "stored"  # they make a new trace


@dataclass(frozen=True, slots=True)
class Deletion:
    """Of some traces of one tenant; no `trace_ids` are all that the tenant has. `at` is ms since 1970.

    `bounds` has, by partition of the log `topic_id`, the offset of the marker: events below it are deleted. It is empty
    until the markers are acknowledged.

    `selected` is by what the traces were chosen, as ("sessionId", "s1"): late events are then those that name it, too.
    `repeats` is the id of a deletion whose markers Kafka has lost: this one takes its place. `lost_bounds` are then
    those of the lost markers: they are offsets of the end that was lost, which ClickHouse may have.
    """

    id: Annotated[int, Field(ge=0, le=MAX_ID)]
    trace_ids: _TraceIds
    late: Late
    at: Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
    topic_id: str = ""
    bounds: tuple[int, ...] = ()
    selected: tuple[str, str] | None = None
    repeats: Annotated[int, Field(ge=0, le=MAX_ID)] = 0
    lost_bounds: tuple[int, ...] = ()

    def bound(self, topic_id: str, partition: int) -> int:
        """Events of this log below it are deleted; 0 for another log."""
        if topic_id != self.topic_id or partition >= len(self.bounds):
            return 0
        return self.bounds[partition]


DELETION_FORM = TypeAdapter(Deletion)


@dataclass(frozen=True, slots=True)
class _MarkerForm:
    v: Annotated[int, Field(ge=1, le=1)]
    tenant_id: Annotated[str, Field(min_length=1, max_length=MAX_NAME_BYTES)]
    id: Annotated[int, Field(ge=0, le=MAX_ID)]
    trace_ids: _TraceIds
    late: Late
    at: Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
    repeats: Annotated[int, Field(ge=0, le=MAX_ID)] = 0


_MARKER_FORM = TypeAdapter(_MarkerForm)


class Marker(NamedTuple):
    """What a marker says: the deletion, without its bounds and by what it was chosen."""

    tenant_id: str
    deletion: Deletion


def marker_value(tenant_id: str, deletion: Deletion) -> bytes:
    """The value of the record; its key is MARKER_KEY."""
    one = _MarkerForm(1, tenant_id, deletion.id, deletion.trace_ids, deletion.late, deletion.at, deletion.repeats)
    return _MARKER_FORM.dump_json(one)


def read_marker(key: bytes | None, value: bytes | None) -> Marker | None:
    """The marker that a record of agent-events is; None when it is none, or is not readable."""
    if key != MARKER_KEY or value is None:
        return None
    try:
        one = _MARKER_FORM.validate_json(value)
    except ValidationError:
        return None
    return Marker(one.tenant_id, Deletion(one.id, one.trace_ids, one.late, one.at, repeats=one.repeats))

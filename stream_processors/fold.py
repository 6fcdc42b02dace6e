"""The fold: events into states of traces. Pure: plain values in, plain values out; states are changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from axonstream.contract.deletion import MARKER_KEY, Marker, read_marker
from axonstream.contract.event import Event
from axonstream.contract.record_validation import ValidationFailure, validate_records
from axonstream.event_contract import EventType
from axonstream.kafka.topics import state_key
from axonstream.steps import MOST_OPEN, NO_PRICES, NO_TEXTS, STEP_TYPES, Prices, Step, texts_of
from axonstream.stream_processors.name_list import with_name
from axonstream.stream_processors.trace_state import LIST_CAP, FirstError, TraceState, tombstone_records
from axonstream.stream_processors.trace_states import TraceStates
from axonstream.summary_counters import COUNTERS, ERRORS

_ERROR = EventType.AGENT_ERROR.value  # looking up the member of an enum takes longer than comparing two strings
_COUNTED: dict[str, list[int]] = {}  # the places of the counters of an event type
for _at, _counter in enumerate(COUNTERS):
    for _type in _counter.event_types:
        _COUNTED.setdefault(_type, []).append(_at)


ChangelogRecord = tuple[bytes, bytes] | tuple[bytes, None, tuple[str, bytes]]


class Record(Protocol):
    """What the fold reads of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


@dataclass(slots=True)
class Folded:
    """The traces that a run of records touched, the changelog records of those of them whose state moved on, and the
    keys of those that are new. `steps` are those that began, changed or ended, by trace and offset.

    `forgotten` are traces that were deleted, and of which nothing came since. `left` are
    the states that traces had in other partitions: partition, key and state.
    """

    touched: dict[bytes, TraceState] = field(default_factory=dict[bytes, TraceState])
    begun: list[bytes] = field(default_factory=list[bytes])
    forgotten: dict[bytes, None] = field(default_factory=dict[bytes, None])
    changelog: list[ChangelogRecord] = field(default_factory=list["ChangelogRecord"])
    left: list[tuple[int, bytes, TraceState]] = field(default_factory=list[tuple[int, bytes, TraceState]])
    steps: dict[tuple[bytes, int], Step] = field(default_factory=dict[tuple[bytes, int], Step])


def fold_records(
    records: Sequence[Record],
    states: TraceStates,
    partition: int = -1,
    prices: Prices = NO_PRICES,
    most_open: int = MOST_OPEN,
) -> Folded:
    """Fold records of one partition, in offset order, into `states`.

    A trace that was folded in another partition has moved (partitions were added): its offsets there say nothing here,
    so what comes now is another segment.

    A record that fails validation is skipped: the sink dead-letters it by the same validation. The marker of a
    deletion forgets what its traces had before it in this partition.
    """
    folded = Folded()
    touched, changed = folded.touched, dict[bytes, TraceState]()
    for record, event in zip(records, validate_records(records).judged, strict=True):
        if isinstance(event, ValidationFailure):
            if record.key == MARKER_KEY and (marker := read_marker(record.key, record.value)) is not None:
                _forget(folded, changed, states, marker, record.offset, partition)
            continue
        event.received_at = record.timestamp  # by the clock of the broker, whoever published
        key = state_key(event.tenant_id, event.trace_id)
        state = touched.get(key) or states.find(key)
        if state is not None and key not in touched and (of := states.partitions.get(key, partition)) != partition:
            folded.left.append((of, key, state))
            states.forget(key)
            state = None
        if state is None:
            state = new_state(event, record.offset)
            folded.begun.append(key)
            folded.forgotten.pop(key, None)
        elif record.offset <= state.last_offset:  # I1: it is in the state already; its summary goes out again
            touched[key] = state
            continue
        for step in fold_event(state, event, record.offset, prices, most_open):
            folded.steps[key, step.offset] = step
        touched[key] = changed[key] = state
    for key, state in changed.items():
        folded.changelog += states.store(key, state)
    return folded


def _forget(
    folded: Folded,
    changed: dict[bytes, TraceState],
    states: TraceStates,
    marker: Marker,
    offset: int,
    partition: int,
) -> None:
    """Forget the states that began before the marker: one that began behind it was folded by an earlier life.

    The tombstone goes to the changelog before what comes of later events, so a recovery ends with these alone.
    """
    tenant_id, deletion = marker
    if deletion.trace_ids:
        keys = [state_key(tenant_id, trace_id) for trace_id in deletion.trace_ids]
    else:
        prefix = state_key(tenant_id, "")
        keys = [key for key in {**folded.touched, **dict.fromkeys(states)} if key.startswith(prefix)]
    gone: set[bytes] = set()
    for key in keys:
        state = folded.touched.get(key)
        if state is None and (key not in states or states.partitions.get(key, partition) != partition):
            continue
        state = states[key] if state is None else state
        if state.first_offset < offset:
            folded.touched.pop(key, None)
            changed.pop(key, None)
            gone.add(key)
            folded.changelog += tombstone_records(key, state)
            folded.forgotten[key] = None
            states.forget(key)
    folded.steps = {place: of for place, of in folded.steps.items() if place[0] not in gone}


def new_state(event: Event, offset: int) -> TraceState:
    """The state of a trace before its first event, which is `event`."""
    at = event.occurred_at
    return TraceState(offset, offset, at, at, event.received_at)


def fold_event(
    state: TraceState, event: Event, offset: int, prices: Prices = NO_PRICES, most_open: int = MOST_OPEN
) -> Sequence[Step]:
    """Fold one valid event with an offset that is not in `state` yet; the steps that it changed.

    A repeat only moves the fence.
    """
    state.last_offset = offset
    if event.dedup_key:
        if not state.ids.add(event.event_id):
            return ()
        if not state.ids.complete:
            state.exact = False
    state.event_count += 1
    event_type = event.event_type
    for at in _COUNTED.get(event_type, ()):
        state.counts[at] += 1
    if state.counts[ERRORS]:
        _fold_first_error(state, event)
    _fold_names(state, event)
    at = event.occurred_at
    if at < state.first_at:
        state.first_at = at
    if at >= state.last_at:
        state.last_at = at
        state.last_failed = event_type == _ERROR
    if event.received_at > state.last_received_at:
        state.last_received_at = event.received_at
    if event_type not in STEP_TYPES and event.duration_ms is None and texts_of(event) is NO_TEXTS:
        return ()
    steps = state.steps.fold(event, offset, prices, most_open)
    if not state.steps.exact:
        state.exact = False
    return steps


def _fold_first_error(state: TraceState, event: Event) -> None:
    """Keep the first error and its step; called after the event was counted, before it moves `last_at`."""
    at: int = event.occurred_at
    first = state.first_error
    if first is not None and at >= first.occurred_at:
        return
    if event.event_type != _ERROR:
        if first is not None:
            state.first_error = first._replace(step=first.step + 1)
        return
    if at < state.last_at:
        state.exact = False  # how many events happened after it is not known, so neither is its step
    marked = state.steps.marked_by(event)
    state.first_error = FirstError(
        at,
        event.event_id,
        state.event_count,
        event.span_id,
        event.identifier,
        event.agent_id,
        event.error_type,
        0 if marked is None else marked.start_event_id,
    )


def _fold_names(state: TraceState, event: Event) -> None:
    event_types = with_name(state.event_types, event.event_type, LIST_CAP)
    if event_types is None:
        state.exact = False
    else:
        state.event_types = event_types
    agent = event.agent_id
    if agent:
        agents = with_name(state.agents, agent, LIST_CAP)
        if agents is None:
            state.exact = False
        else:
            state.agents = agents

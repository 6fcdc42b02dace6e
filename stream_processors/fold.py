"""The fold: events into states of traces. Pure: plain values in, plain values out; states are changed in place."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from axonstream.event_contract import EventType
from producers.topics import state_key
from producers.verdict import Refusal, verdict
from stream_processors.trace_state import LIST_CAP, FirstError, TraceState


class Record(Protocol):
    """What the fold reads of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...


@dataclass(slots=True)
class Folded:
    """The traces that a run of records touched; `changed` are those of them whose state moved on."""

    touched: dict[bytes, TraceState] = field(default_factory=dict[bytes, TraceState])
    changed: dict[bytes, TraceState] = field(default_factory=dict[bytes, TraceState])


def fold_records(records: Iterable[Record], states: MutableMapping[bytes, TraceState]) -> Folded:
    """Fold records of one partition, in offset order, into `states`.

    A record that the verdict refuses is skipped: the sink dead-letters it by the same verdict.
    """
    folded = Folded()
    for record in records:
        event = verdict(record.key, record.value)
        if isinstance(event, Refusal):
            continue
        key = state_key(event["tenant_id"], event["trace_id"])
        state = states.get(key)
        if state is None:
            state = states[key] = new_state(event, record.offset)
        elif record.offset <= state.last_offset:  # I1: it is in the state already; its summary goes out again
            folded.touched[key] = state
            continue
        fold_event(state, event, record.offset)
        folded.touched[key] = folded.changed[key] = state
    return folded


def new_state(event: dict[str, Any], offset: int) -> TraceState:
    """The state of a trace before its first event, which is `event`."""
    at = event["occurred_at"]
    return TraceState(
        first_offset=offset, last_offset=offset, first_at=at, last_at=at, last_received_at=event["received_at"]
    )


def fold_event(state: TraceState, event: dict[str, Any], offset: int) -> None:
    """Fold one valid event with an offset that is not in `state` yet. A repeat only moves the fence."""
    state.last_offset = offset
    if event.get("dedup_key"):
        if not state.ids.add(event["event_id"]):
            return
        if not state.ids.complete:
            state.exact = False
    state.event_count += 1
    event_type: str = event["event_type"]
    if event_type == EventType.AGENT_TOOL_CALL_START:
        state.tool_call_count += 1
    elif event_type == EventType.AGENT_HANDOFF:
        state.handoff_count += 1
    elif event_type == EventType.AGENT_ERROR:
        state.error_count += 1
    _fold_first_error(state, event)
    _fold_names(state, event)
    at: int = event["occurred_at"]
    state.first_at = min(state.first_at, at)
    state.last_at = max(state.last_at, at)
    state.last_received_at = max(state.last_received_at, event["received_at"])


def _fold_first_error(state: TraceState, event: dict[str, Any]) -> None:
    """Keep the first error and its step; called after the event was counted, before it moves `last_at`."""
    at: int = event["occurred_at"]
    first = state.first_error
    if first is not None and at >= first.occurred_at:
        return
    if event["event_type"] != EventType.AGENT_ERROR:
        if first is not None:
            state.first_error = first._replace(step=first.step + 1)
        return
    if at < state.last_at:
        state.exact = False  # how many events happened after it is not known, so neither is its step
    state.first_error = FirstError(
        at,
        event["event_id"],
        state.event_count,
        event.get("span_id", ""),
        event["identifier"],
        event.get("agent_id", ""),
    )


def _fold_names(state: TraceState, event: dict[str, Any]) -> None:
    for names, name in ((state.agents, event.get("agent_id")), (state.event_types, event["event_type"])):
        if name and name not in names:
            if len(names) < LIST_CAP:
                names.append(name)
            else:
                state.exact = False

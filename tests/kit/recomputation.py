"""What a summary must say, computed from all events of a trace at once: the slow truth for the fold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import orjson

from axonstream.contract.step_record import StepRecord, step_key, step_record
from axonstream.event_fields import FIELDS
from axonstream.kafka.topics import state_key
from axonstream.run_summary import run_fields
from axonstream.steps import NO_PRICES, Prices, StepBook, StepEvent

Event = dict[str, Any]


def kept_events(events: Iterable[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """(offset, event) without repeats: of two with a dedup key and the same id, the one with the lower offset."""
    kept: list[tuple[int, Event]] = []
    seen: set[int] = set()
    for offset, event in sorted(events, key=lambda pair: pair[0]):
        if event.get("dedup_key"):
            if event["event_id"] in seen:
                continue
            seen.add(event["event_id"])
        kept.append((offset, event))
    return kept


@dataclass
class RecordedEvent:
    """An event of a record's JSON, with what is missing as the fold sees it."""

    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        value = self.fields.get(name, _MISSING.get(name, ""))
        if name == "payload":
            return orjson.dumps(value)
        return Decimal(value) if name == "cost_usd" and value is not None else value


def recorded(event: Event) -> StepEvent:
    return cast("StepEvent", RecordedEvent(event))


_MISSING = {field.name: field.missing for field in FIELDS}


def recomputed_steps(
    events: Iterable[tuple[int, Event]], book: StepBook | None = None, prices: Prices = NO_PRICES
) -> dict[bytes, StepRecord]:
    """The steps of one trace from its events, by the key of their own records; `book` is as after them."""
    book, last = StepBook() if book is None else book, dict[bytes, StepRecord]()
    for offset, event in kept_events(events):
        tenant_id, trace_id = event["tenant_id"], event["trace_id"]
        for step in book.fold(recorded(event), offset, prices):
            key = step_key(state_key(tenant_id, trace_id), step.offset)
            last[key] = step_record(tenant_id, trace_id, step)
    return last


def recomputed_run(events: list[tuple[int, Event]]) -> dict[str, Any]:
    """What the summary record says of the run, beside the counts."""
    kept, book, first, input_event_id = kept_events(events), StepBook(), None, 0
    for offset, event in kept:
        given = recorded(event)
        if event["event_type"] == "agent.error" and (first is None or event["occurred_at"] < first["occurred_at"]):
            marked = book.marked_by(given)
            first, input_event_id = event, 0 if marked is None else marked.start_event_id
        book.fold(given, offset, NO_PRICES)
    last = max(kept, key=lambda pair: (pair[1]["occurred_at"], pair[0]))[1]
    return run_fields(
        book,
        last_failed=last["event_type"] == "agent.error",
        has_errors=first is not None,
        error_type="" if first is None else first.get("error_type", ""),
        input_event_id=input_event_id,
    )


def recomputed_summary(events: list[tuple[int, Event]]) -> dict[str, Any]:
    """The summary record of one trace, but for `exact`."""
    kept = kept_events(events)
    types = [event["event_type"] for _, event in kept]
    in_time = sorted(kept, key=lambda pair: (pair[1]["occurred_at"], pair[0]))
    first_error = next(
        ((step, event) for step, (_, event) in enumerate(in_time, 1) if event["event_type"] == "agent.error"), (0, {})
    )
    step, error = first_error
    return {
        "v": 1,
        "tenant_id": kept[0][1]["tenant_id"],
        "trace_id": kept[0][1]["trace_id"],
        "first_offset": min(offset for offset, _ in events),
        "last_offset": max(offset for offset, _ in events),
        "event_count": len(kept),
        "error_count": types.count("agent.error"),
        "tool_call_count": types.count("agent.tool_call.start"),
        "handoff_count": types.count("agent.handoff"),
        "first_at": min(event["occurred_at"] for _, event in kept),
        "last_at": max(event["occurred_at"] for _, event in kept),
        "last_received_at": max(event["received_at"] for _, event in kept),
        "agents": list(dict.fromkeys(event["agent_id"] for _, event in kept if event.get("agent_id"))),
        "event_types": list(dict.fromkeys(types)),
        "first_error_event_id": error.get("event_id", 0),
        "first_error_step": step,
        "first_error_span_id": error.get("span_id", ""),
        "first_error_identifier": error.get("identifier", ""),
        "first_error_agent_id": error.get("agent_id", ""),
        **recomputed_run(events),
    }


def may_be_inexact(events: list[tuple[int, Event]]) -> bool:
    """Whether a first error came out of order, the one reason for `exact` 0 in a trace that is below all caps."""
    latest = earliest_error = None
    for _, event in kept_events(events):
        at = event["occurred_at"]
        if event["event_type"] == "agent.error" and (earliest_error is None or at < earliest_error):
            if latest is not None and at < latest:
                return True
            earliest_error = at
        latest = at if latest is None else max(latest, at)
    return False

"""The events of a server in memory as the gateway answers them, and the figures of their traces. No HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple, cast

from axonstream.amounts import amount_text
from axonstream.event_contract import EventInput, EventType, event_id_of, trace_id_of
from axonstream.event_fields import RARE
from axonstream.random_ids import random_hex
from axonstream.run_summary import RunFold, run_answer
from axonstream.steps import StepEvent
from axonstream.verdict import DEFAULT_STALL_S, verdict

Row = dict[str, Any]

FIRST_APP = 1  # of channels that publishing makes
_FIRST_CHANNELS = (1, 2)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON_INTEGERS = range(-(1 << 63), 1 << 64)  # what orjson reads as integers


class Stored(NamedTuple):
    """One event. `arrival` counts from 1, times are ms since 1970; `row` is what a read answers."""

    tenant_id: str
    arrival: int
    occurred_at: int
    received_at: int
    row: Row


class MemoryStore:
    """All events of all tenants. `clock` gives ms since 1970, and is asked once for each event."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._stored: dict[tuple[str, str, int], Stored] = {}
        self._arrivals = 0
        self._channels: set[tuple[str, int]] = set()

    def add(self, tenant_id: str, event: EventInput) -> Row:
        """Store an event and return the answer to its publish. A repeat of a dedup key in its trace changes nothing."""
        self._arrivals += 1
        now_ms = self._clock()
        key = event.dedup_key
        trace_id = event.trace_id or (trace_id_of(tenant_id, key) if key else f"tr_{random_hex(16)}")
        event_id = event_id_of(tenant_id, trace_id, key) if key else self._arrivals
        occurred_at = now_ms if event.occurred_at is None else event.occurred_at
        row = _row(event, tenant_id, trace_id, event_id, iso_time(occurred_at), iso_time(now_ms))
        stored = Stored(tenant_id, self._arrivals, occurred_at, now_ms, row)
        self._stored.setdefault((tenant_id, trace_id, event_id), stored)
        self._channels.add((tenant_id, event.channel_id))
        return row

    def arrived(self, tenant_id: str | None = None) -> list[Stored]:
        """The events of a tenant, or of all, in the order of their arrival."""
        return [one for one in self._stored.values() if tenant_id in (None, one.tenant_id)]

    def of_trace(self, tenant_id: str, trace_id: str) -> list[Stored]:
        """The events of a trace by time, arrival breaking ties; none where the tenant has no such trace."""
        found = [one for one in self.arrived(tenant_id) if one.row["traceId"] == trace_id]
        return sorted(found, key=attrgetter("occurred_at", "arrival"))

    def traces(self, tenant_id: str) -> list[tuple[int, str]]:
        """Last activity and id of the tenant's traces, the newest activity first."""
        last = {one.row["traceId"]: one.received_at for one in self.arrived(tenant_id)}
        return sorted(((at, trace_id) for trace_id, at in last.items()), reverse=True)

    def has_channel(self, tenant_id: str, channel_id: int) -> bool:
        """Whether it is there from the beginning, or was published to."""
        return channel_id in _FIRST_CHANNELS or (tenant_id, channel_id) in self._channels


def iso_time(ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"


class _StepEvent:
    """A stored event, as the pairing of steps reads it."""

    def __init__(self, stored: Stored) -> None:
        row = stored.row
        self.event_id, self.event_type, self.identifier = row["eventId"], row["eventType"], row["identifier"]
        self.agent_id, self.span_id, self.parent_span_id = (
            row[name] or "" for name in ("agentId", "spanId", "parentSpanId")
        )
        self.occurred_at, self.received_at = stored.occurred_at, stored.received_at
        self.payload, self.environment = row["payload"], row["environment"] or ""
        for field in RARE:
            setattr(self, field.name, row.get(field.answered, field.missing))
        cost = row.get("costUsdText")
        self.cost_usd = None if cost is None else Decimal(cost)


def _run(arrived: list[Stored]) -> Row:
    """What the gateway answers of the run of a trace that has these events, in order of arrival. Nothing is ever
    stalled: the clock of the server may be a test's.
    """
    run = RunFold()
    for one in arrived:
        run.fold(cast("StepEvent", _StepEvent(one)), one.arrival)
    said = run.fields()
    errors = sum(one.row["eventType"] == EventType.AGENT_ERROR for one in arrived)
    stand = verdict(
        said.get("root_kind", ""),
        said.get("root_status", ""),
        said.get("open_count", 0),
        said.get("last_failed", 0),
        arrived[-1].received_at,
        arrived[-1].received_at,
        DEFAULT_STALL_S * 1000,
    )
    answer = run_answer(said, stand, errors)
    cost = answer["costUsdText"]
    begun_by = said.get("first_error_input_event_id")
    return answer | {
        "costUsd": None if cost is None else float(cost),
        "inputEventId": begun_by,
        "environment": said.get("environment"),
    }


def figures_of(trace: list[Stored]) -> Row:
    """What the gateway answers of a trace that has these events, in order of time."""
    rows = [one.row for one in trace]
    start, end = trace[0].occurred_at, trace[-1].occurred_at
    arrived = [one.row for one in sorted(trace, key=attrgetter("arrival"))]
    types = [row["eventType"] for row in rows]
    error = next((place for place, kind in enumerate(types) if kind == EventType.AGENT_ERROR), None)
    named = sorted((one.occurred_at, name) for one in trace if (name := one.row["environment"]))
    run = _run(sorted(trace, key=attrgetter("arrival")))
    begun_by, environment = run.pop("inputEventId"), run.pop("environment")
    return {
        "traceId": rows[0]["traceId"],
        "totalEvents": len(rows),
        "eventCount": len(rows),
        "spanCount": len(rows),
        "errorCount": types.count(EventType.AGENT_ERROR),
        "toolCallCount": types.count(EventType.AGENT_TOOL_CALL_START),
        "handoffCount": types.count(EventType.AGENT_HANDOFF),
        "duration": end - start,
        "durationMs": end - start,
        "startTime": iso_time(start),
        "endTime": iso_time(end),
        "startedAt": iso_time(start),
        "endedAt": iso_time(end),
        "agents": _distinct(row["agentId"] for row in arrived),
        "eventTypes": _distinct(row["eventType"] for row in arrived),
        "firstError": None
        if error is None
        else _first_error(rows[error], error + 1, begun_by) | {"type": run["firstErrorType"]},
        "environment": environment or (named[0][1] if named else None),
        **run,
    }


def _row(event: EventInput, tenant_id: str, trace_id: str, event_id: int, occurred_at: str, created_at: str) -> Row:
    row: Row = {
        "id": event_id,
        "eventId": event_id,
        "identifier": event.identifier,
        "payload": event.payload,
        "channelId": event.channel_id,
        "agentId": event.agent_id or None,
        "traceId": trace_id,
        "spanId": event.span_id or None,
        "parentEventId": _number_or_text(event.parent_event_id or None),
        "parentSpanId": event.parent_span_id or None,
        "eventType": event.event_type,
        "metadata": event.metadata,
        "dedupKey": event.dedup_key or None,
        "environment": event.environment or None,
        "source": "app",
        "orgId": _number_or_text(tenant_id),
        "appId": FIRST_APP,
        "operationName": event.identifier,
        "occurredAt": occurred_at,
        **dict.fromkeys(("createdAt", "updatedAt", "created_at", "updated_at"), created_at),
        "payloadSpilled": False,
        "queued": False,
        "duplicate": False,
        "status": "stored",
    }
    for field in RARE:
        value = getattr(event, field.name)
        if isinstance(value, Decimal):
            row |= {field.answered: float(value), f"{field.answered}Text": amount_text(value)}
        elif value not in (None, ""):
            row[field.answered] = value
    ids = {"id": event_id, "eventId": event_id, "channelId": event.channel_id, "parentEventId": event.parent_event_id}
    ids |= {"orgId": tenant_id, "appId": FIRST_APP}
    return row | {f"{name}Text": str(number) for name, number in ids.items() if number not in (None, "")}


def _first_error(row: Row, step: int, begun_by: int | None) -> Row:
    same = ("eventId", "eventIdText", "spanId", "identifier", "agentId")
    begun = (
        {"inputEventId": None} if begun_by is None else {"inputEventId": begun_by, "inputEventIdText": str(begun_by)}
    )
    return {name: row[name] for name in same} | {"step": step} | begun


def _distinct(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))


def _number_or_text(text: str | None) -> int | str | None:
    """An id that the sender chose: a JSON integer where it is one."""
    if text and text.isascii() and text.removeprefix("-").isdecimal():
        number = int(text)
        if str(number) == text and number in _JSON_INTEGERS:
            return number
    return text

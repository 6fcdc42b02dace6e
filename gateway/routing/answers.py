"""The answers on the wire, in camelCase, with the fields of both client generations side by side.

Each form is a TypedDict: it costs nothing to make, the type checker holds it, and /openapi.json is generated from it.
Ids are `int | str`: JSON integers for v0 clients, strings for v1 clients. Each that is a JSON integer stands as
text, too, as `<name>Text`: not every reader keeps 19 digits. What is not known is null. Times are ISO 8601 in UTC with
milliseconds. Payload and metadata are the sender's bytes, put in as they came (`orjson.Fragment`). An amount is a JSON
number with all its digits, and stands as text, too: most readers make a float of the number.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import (
    TYPE_CHECKING,
    Any,
    NotRequired,  # pydantic makes schemas of typing.TypedDict from Python 3.12 on
    cast,
)

import orjson
from msgspec import UnsetType
from typing_extensions import TypedDict

from axonstream.amounts import amount_text
from axonstream.contract.event import Event
from axonstream.contract.event_record import EventRecord
from axonstream.event_contract import EventInput
from axonstream.event_fields import LISTED, RARE, Amount, EventAttributes, EventField, Whole
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.routing.wire_values import iso_time, opaque_id, wire_id, with_id_texts
from axonstream.run_summary import run_answer
from axonstream.summary_counters import COUNTERS, ERRORS
from axonstream.verdict import Basis, Outcome, RunStatus, Verdict

WireId = int | str
_COUNT_NAMES = tuple(counter.wire for counter in COUNTERS)
_NOTHING_OPEN = Verdict("ok", "nothing_open")


# Payload and metadata, what the server knows of it, what the sender said, and what few senders say.
_OBJECTS = ("payload", "metadata")
_OF_RECORD = ("event_id", "trace_id", "source", "occurred_at", "received_at")
_RARE = tuple(field for field in LISTED if field in RARE)
_OF_SENDER = tuple(field for field in LISTED if field.name not in (*_OBJECTS, *_OF_RECORD) and field not in RARE)
_MISSING = tuple(field.missing for field in _OF_SENDER)
_RARE_MISSING = tuple(field.missing for field in _RARE)
_RARE_NAMES = tuple(field.name for field in _RARE)
_IS_RARE = frozenset(_RARE_NAMES)
_NAMES_OF_ROW = (*_OBJECTS, *_OF_RECORD, *(field.name for field in _OF_SENDER), *_RARE_NAMES)
_Row = namedtuple("_Row", _NAMES_OF_ROW)  # pyright: ignore[reportUntypedNamedTuple]  StoredEvent has the types
_FIRST_RARE = len(_NAMES_OF_ROW) - len(_RARE)
_of_record = attrgetter(*_Row._fields[2:])
_of_sender = attrgetter(*(field.name for field in _OF_SENDER))


class StoredEvent(_Row, EventAttributes[str]):
    """One event as Kafka or ClickHouse holds it: '' stands for a text that was not given, times are ms since 1970."""

    __slots__ = ()

    payload: bytes
    metadata: bytes
    event_id: int
    trace_id: str
    source: str
    occurred_at: int
    received_at: int
    identifier: str
    channel_id: int
    parent_event_id: str
    event_type: str
    status: str

    @classmethod
    def of_record(cls, event: Event) -> StoredEvent:
        """Of an event that was read from Kafka."""
        metadata = b"" if isinstance(event.metadata, UnsetType) else bytes(event.metadata)
        return cls(bytes(event.payload), metadata, *_of_record(event))

    @classmethod
    def of_sent(
        cls, event: EventInput, payload: bytes, metadata: bytes, record: EventRecord, *, received_at: int
    ) -> StoredEvent:
        """Of one that was published just now, as reads will show it. Where Kafka does not say when it took it,
        `received_at` is the gateway's own time.
        """
        said = [lack if value is None else value for value, lack in zip(_of_sender(event), _MISSING, strict=True)]
        rare = _RARE_MISSING
        if not _IS_RARE.isdisjoint(event.__pydantic_fields_set__):
            given = [getattr(event, name) for name in _RARE_NAMES]
            rare = [lack if value is None else value for value, lack in zip(given, _RARE_MISSING, strict=True)]
        at = record.occurred_at, received_at
        return cls._make((payload, metadata, record.event_id, record.trace_id, "app", *at, *said, *rare))


@dataclass(frozen=True, slots=True)
class FirstError:
    """The first agent.error of a trace; `step` is its place among the trace's events, from 1."""

    event_id: int
    step: int
    span_id: str
    identifier: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class TraceFigures:
    """What is counted of one trace, `counts` in the order of COUNTERS; times are ms since 1970.

    `run` holds the fields of `run_summary` that are known, and `stand` how the run stands.
    """

    trace_id: str
    event_count: int
    counts: Sequence[int]
    first_at: int
    last_at: int
    agents: list[str]
    event_types: list[str]
    first_error: FirstError | None
    environment: str = ""
    last_received_at: int = 0
    run: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stand: Verdict = _NOTHING_OPEN


class _OldAnswer(TypedDict):
    """Of the fields that `event_answer` writes out."""

    id: WireId
    eventId: WireId
    identifier: str
    payload: dict[str, Any]
    channelId: WireId
    agentId: str | None
    traceId: str
    spanId: str | None
    parentEventId: WireId | None
    parentSpanId: str | None
    eventType: str
    metadata: dict[str, Any] | None
    dedupKey: str | None
    environment: str | None
    source: str
    orgId: WireId | None
    appId: WireId | None
    operationName: str
    occurredAt: str
    createdAt: str
    updatedAt: str
    created_at: str
    updated_at: str
    payloadSpilled: bool
    queued: bool
    duplicate: bool
    status: str
    idText: NotRequired[str]
    eventIdText: NotRequired[str]
    channelIdText: NotRequired[str]
    parentEventIdText: NotRequired[str]
    orgIdText: NotRequired[str]
    appIdText: NotRequired[str]


if TYPE_CHECKING:

    class _RareAnswer(TypedDict): ...

else:

    def _answer_type(field: EventField) -> type:
        return float if isinstance(field.kind, Amount) else int if isinstance(field.kind, Whole) else str

    _RareAnswer = TypedDict(
        "_RareAnswer",
        {field.answered: _answer_type(field) for field in _RARE}
        | {f"{field.answered}Text": str for field in _RARE if isinstance(field.kind, Amount)},
        total=False,
    )

_RARE_ANSWERS = tuple(field.answered for field in _RARE)


class EventAnswer(_OldAnswer, _RareAnswer):
    """One event: the answer to a publish, and a row of a trace's events. What few events have is there where it was
    given.
    """


class RefusedEventAnswer(TypedDict):
    """Why one event of a bulk request was not taken; `index` counts from 0."""

    index: int
    message: str


class BulkAnswer(TypedDict):
    """What became of a bulk request; `ids` are those of the accepted events, in their order."""

    accepted: int
    rejected: list[RefusedEventAnswer]
    ids: list[WireId]
    idTexts: NotRequired[list[str]]


class FirstErrorAnswer(TypedDict):
    """The first agent.error of a trace; `inputEventId` is the event that began the step which it marks."""

    eventId: WireId
    eventIdText: NotRequired[str]
    step: int
    spanId: str | None
    identifier: str
    agentId: str | None
    type: str | None
    inputEventId: WireId | None
    inputEventIdText: NotRequired[str]


class OpenStepAnswer(TypedDict):
    """A step that has not ended; `step` names it in its trace."""

    kind: str
    name: str
    agentId: str | None
    since: str
    step: int


class SlowestStepAnswer(TypedDict):
    """The step that took longest of those that ended."""

    kind: str
    name: str
    agentId: str | None
    durationMs: int
    step: int


class _Events(TypedDict):
    traceId: str
    totalEvents: int
    eventCount: int
    spanCount: int


if TYPE_CHECKING:

    class _Counts(TypedDict): ...

else:
    _Counts = TypedDict("_Counts", dict.fromkeys(_COUNT_NAMES, int))


class _Run(TypedDict):
    firstErrorType: str | None
    status: RunStatus
    statusBasis: Basis
    outcome: Outcome | None
    recoveredErrors: int
    rootSpanName: str | None
    serviceName: str | None
    sessionId: str | None
    userId: str | None
    customer: str | None
    release: str | None
    workflow: str | None
    models: list[str] | None
    providers: list[str] | None
    totalTokens: int | None
    inputTokens: int | None
    outputTokens: int | None
    cachedInputTokens: int | None
    reasoningTokens: int | None
    costUsd: float | None
    costUsdText: str | None
    unpricedCalls: int
    llmCallCount: int
    toolErrorCount: int
    openStepCount: int
    openSteps: list[OpenStepAnswer]
    slowestStep: SlowestStepAnswer | None


class TraceAnswer(_Events, _Counts, _Run):
    """The figures of one trace, and how its run stands; what nobody knows is null.

    `environment` and its like are what the events say that are nearest to the root, the earliest first. Tokens and cost
    are those of LLM calls without LLM calls in them; `costUsdText` has the digits of `costUsd`. `statusBasis` is what
    `status` rests on. `openSteps` are the oldest of `openStepCount`, 20 at most.
    """

    duration: int
    durationMs: int
    startTime: str
    endTime: str
    startedAt: str
    endedAt: str
    agents: list[str]
    eventTypes: list[str]
    firstError: FirstErrorAnswer | None
    environment: str | None


class SummaryAnswer(TraceAnswer):
    """The figures of one trace, and its first events."""

    events: list[EventAnswer]


class WholeTraceAnswer(TraceAnswer):
    """The figures of one trace, and all its events."""

    spans: list[EventAnswer]


class TracesAnswer(TypedDict):
    """The list of traces in the v1 form; v0 clients have the bare array."""

    traces: list[TraceAnswer]


class EventsAnswer(TypedDict):
    """Events that were searched for, the newest first."""

    events: list[EventAnswer]


class ErrorAnswer(TypedDict):
    """What every answer of 400 and above holds."""

    message: str | list[str]
    code: str
    statusCode: int
    requestId: str
    hint: str


def event_answer(event: StoredEvent, tenant_id: str, generation: ApiVersion, app_id: int | None) -> EventAnswer:
    """The wire form of `event`; `app_id` is that of its channel, None where there is no such channel any more."""
    event_id, created_at = wire_id(event.event_id, generation), iso_time(event.received_at)
    answer: EventAnswer = {
        "id": event_id,
        "eventId": event_id,
        "identifier": event.identifier,
        "payload": _as_sent(event.payload),
        "channelId": wire_id(event.channel_id, generation),
        "agentId": event.agent_id or None,
        "traceId": event.trace_id,
        "spanId": event.span_id or None,
        "parentEventId": opaque_id(event.parent_event_id, generation),
        "parentSpanId": event.parent_span_id or None,
        "eventType": event.event_type,
        "metadata": _as_sent(event.metadata) if event.metadata else None,
        "dedupKey": event.dedup_key or None,
        "environment": event.environment or None,
        "source": event.source,
        "orgId": opaque_id(tenant_id, generation),
        "appId": None if app_id is None else wire_id(app_id, generation),
        "operationName": event.identifier,
        "occurredAt": created_at if event.occurred_at == event.received_at else iso_time(event.occurred_at),
        "createdAt": created_at,
        "updatedAt": created_at,
        "created_at": created_at,
        "updated_at": created_at,
        "payloadSpilled": False,
        "queued": False,
        "duplicate": False,
        "status": "stored",
    }
    if (rare := event[_FIRST_RARE:]) != _RARE_MISSING:
        answer.update(_rare_fields(rare))
    if generation is ApiVersion.V0:  # written out, as this runs for every event
        answer["idText"] = answer["eventIdText"] = str(event_id)
        answer["channelIdText"] = str(event.channel_id)
        if event.parent_event_id:
            answer["parentEventIdText"] = event.parent_event_id
        answer["orgIdText"] = tenant_id
        if app_id is not None:
            answer["appIdText"] = str(app_id)
    return answer


def _rare_fields(values: Sequence[Any]) -> Any:
    """Those fields that few events have, and this one has."""
    fields: dict[str, Any] = {}
    for name, value in zip(_RARE_ANSWERS, values, strict=True):
        if isinstance(value, Decimal):
            text = amount_text(value)
            fields[name], fields[f"{name}Text"] = orjson.Fragment(text), text
        elif value is not None and value != "":
            fields[name] = value
    return fields


def trace_answer(figures: TraceFigures, generation: ApiVersion) -> TraceAnswer:
    """The wire form of a trace's figures: a row of the list of traces."""
    start, end = iso_time(figures.first_at), iso_time(figures.last_at)
    duration = figures.last_at - figures.first_at
    error = figures.first_error
    return {
        "traceId": figures.trace_id,
        "totalEvents": figures.event_count,
        "eventCount": figures.event_count,
        "spanCount": figures.event_count,
        **_counts(figures),
        "duration": duration,
        "durationMs": duration,
        "startTime": start,
        "endTime": end,
        "startedAt": start,
        "endedAt": end,
        "agents": figures.agents,
        "eventTypes": figures.event_types,
        "firstError": None if error is None else _first_error_answer(error, figures.run, generation),
        "environment": figures.environment or None,
        **_run(figures),
    }


def _run(figures: TraceFigures) -> _Run:
    told = run_answer(figures.run, figures.stand, figures.counts[ERRORS])
    cost = told["costUsdText"]
    return cast("_Run", told | {"costUsd": None if cost is None else orjson.Fragment(cost)})


def _counts(figures: TraceFigures) -> _Counts:
    return cast("_Counts", dict(zip(_COUNT_NAMES, figures.counts, strict=True)))


def summary_answer(figures: TraceFigures, events: list[EventAnswer], generation: ApiVersion) -> SummaryAnswer:
    """The wire form of a trace's summary."""
    return {**trace_answer(figures, generation), "events": events}


def _first_error_answer(error: FirstError, run: Mapping[str, Any], generation: ApiVersion) -> FirstErrorAnswer:
    begun_by = run.get("first_error_input_event_id", 0)
    answer: FirstErrorAnswer = {
        "eventId": wire_id(error.event_id, generation),
        "step": error.step,
        "spanId": error.span_id or None,
        "identifier": error.identifier,
        "agentId": error.agent_id or None,
        "type": run.get("first_error_type") or None,
        "inputEventId": wire_id(begun_by, generation) if begun_by else None,
    }
    return with_id_texts(answer, "eventId", "inputEventId")


def _as_sent(raw: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", orjson.Fragment(raw))

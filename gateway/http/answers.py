"""The answers on the wire, in camelCase, with the fields of both client generations side by side.

Each form is a TypedDict: it costs nothing to make, the type checker holds it, and /openapi.json is generated from it.
Ids are `int | str`: JSON integers for v0 clients, strings for v1 clients. Each that is a JSON integer stands as
text, too, as `<name>Text`: not every reader keeps 19 digits. What is not known is null. Times are ISO 8601 in UTC with
milliseconds. Payload and metadata are the sender's bytes, put in as they came (`orjson.Fragment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    Any,
    NamedTuple,
    NotRequired,  # pydantic makes schemas of typing.TypedDict from Python 3.12 on
    cast,
)

import orjson
from typing_extensions import TypedDict

from axonstream.gateway.access.credentials import ApiVersion
from axonstream.gateway.http.wire_values import iso_time, opaque_id, wire_id, with_id_texts

WireId = int | str


class StoredEvent(NamedTuple):
    """One event as Kafka or ClickHouse holds it: '' stands for what was not given, times are ms since 1970."""

    event_id: int
    identifier: str
    payload: bytes
    metadata: bytes
    channel_id: int
    agent_id: str
    trace_id: str
    span_id: str
    parent_event_id: str
    parent_span_id: str
    event_type: str
    dedup_key: str
    environment: str
    source: str
    occurred_at: int
    received_at: int


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
    """What is counted of one trace; times are ms since 1970."""

    trace_id: str
    event_count: int
    error_count: int
    tool_call_count: int
    handoff_count: int
    first_at: int
    last_at: int
    agents: list[str]
    event_types: list[str]
    first_error: FirstError | None
    environment: str = ""


class EventAnswer(TypedDict):
    """One event: the answer to a publish, and a row of a trace's events."""

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
    """The first agent.error of a trace."""

    eventId: WireId
    eventIdText: NotRequired[str]
    step: int
    spanId: str | None
    identifier: str
    agentId: str | None


class TraceAnswer(TypedDict):
    """The figures of one trace. `environment` is the one that its first event with one names; what follows
    `firstErrorType` is there for v1 clients, which require the fields, and null: this server does not know it."""

    traceId: str
    totalEvents: int
    eventCount: int
    spanCount: int
    errorCount: int
    toolCallCount: int
    handoffCount: int
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
    firstErrorType: str | None
    costUsd: float | None
    customer: str | None
    models: list[str] | None
    outcome: str | None
    providers: list[str] | None
    release: str | None
    rootSpanName: str | None
    serviceName: str | None
    sessionId: str | None
    totalTokens: int | None
    workflow: str | None


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
    if generation is ApiVersion.V0:  # written out, as this runs for every event
        answer["idText"] = answer["eventIdText"] = str(event_id)
        answer["channelIdText"] = str(event.channel_id)
        if event.parent_event_id:
            answer["parentEventIdText"] = event.parent_event_id
        answer["orgIdText"] = tenant_id
        if app_id is not None:
            answer["appIdText"] = str(app_id)
    return answer


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
        "errorCount": figures.error_count,
        "toolCallCount": figures.tool_call_count,
        "handoffCount": figures.handoff_count,
        "duration": duration,
        "durationMs": duration,
        "startTime": start,
        "endTime": end,
        "startedAt": start,
        "endedAt": end,
        "agents": figures.agents,
        "eventTypes": figures.event_types,
        "firstError": None if error is None else _first_error_answer(error, generation),
        "environment": figures.environment or None,
        "firstErrorType": None if error is None else "agent.error",
        "costUsd": None,
        "customer": None,
        "models": None,
        "outcome": None,
        "providers": None,
        "release": None,
        "rootSpanName": None,
        "serviceName": None,
        "sessionId": None,
        "totalTokens": None,
        "workflow": None,
    }


def summary_answer(figures: TraceFigures, events: list[EventAnswer], generation: ApiVersion) -> SummaryAnswer:
    """The wire form of a trace's summary."""
    return {**trace_answer(figures, generation), "events": events}


def _first_error_answer(error: FirstError, generation: ApiVersion) -> FirstErrorAnswer:
    answer: FirstErrorAnswer = {
        "eventId": wire_id(error.event_id, generation),
        "step": error.step,
        "spanId": error.span_id or None,
        "identifier": error.identifier,
        "agentId": error.agent_id or None,
    }
    return with_id_texts(answer, "eventId")


def _as_sent(raw: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", orjson.Fragment(raw))

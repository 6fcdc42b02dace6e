"""/openapi.json, generated from the models that validate requests and the forms that answers are checked against."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from axonstream.event_contract import EventInput
from axonstream.gateway.deleting.routes import DeletionAnswer
from axonstream.gateway.http.openapi_errors import errors, errors_without_key
from axonstream.gateway.live.openapi import live_paths
from axonstream.gateway.managing import openapi as management
from axonstream.gateway.managing.openapi import management_paths
from axonstream.gateway.reading.list_cursor import MOST_SKIPPED, NEXT_CURSOR
from axonstream.gateway.routing import answers as forms
from axonstream.gateway.routing.request import Request

_ANSWERS: tuple[Any, ...] = (
    forms.BulkAnswer,
    forms.ErrorAnswer,
    forms.EventAnswer,
    forms.EventsAnswer,
    forms.SummaryAnswer,
    forms.TraceAnswer,
    forms.TracesAnswer,
    forms.WholeTraceAnswer,
    DeletionAnswer,
    *management.ANSWERS,
)
_INPUTS: tuple[type[BaseModel], ...] = (EventInput, *management.INPUTS)
_TRACEPARENT = (
    "W3C Trace Context: an event that names no traceId joins this trace, and this span is its parentSpanId unless it "
    "names one. A header that is not valid is ignored."
)
_CURSOR = {
    "name": "cursor",
    "in": "query",
    "description": f"{NEXT_CURSOR} of the page before: goes on after it. `page` and `offset` are refused beyond "
    f"{MOST_SKIPPED:,} rows",
    "schema": {"type": "string"},
}
_REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of this server."""
    _, inputs = models_json_schema([(form, "validation") for form in _INPUTS], ref_template=_REF)
    _, answers = TypeAdapter.json_schemas(
        [(answer.__name__, "serialization", TypeAdapter(answer)) for answer in _ANSWERS], ref_template=_REF
    )
    event_type = inputs["$defs"]["EventInput"]["properties"]["eventType"]
    event_type["type"] = [event_type["type"], "null"]  # over HTTP null is what leaving it out is
    event, traces = _schema("EventAnswer"), {"type": "array", "items": _schema("TraceAnswer")}
    trace_id, events = _parameter("trace_id", "path", "string"), _number("events", 0)
    pages = [_number("page", 1), _number("limit", 1)]
    times = [_time("since"), _time("until"), pages[1], _CURSOR]
    return {
        "openapi": "3.1.0",
        "info": {"title": "axonstream", "version": "1"},
        "security": [{"key": [], "tenant": []}, {"recentKey": []}, {"publicToken": []}],
        "paths": {
            "/event": {
                "post": _publishing("Publish one event", _json(_schema("EventInput")), ("200", "201"), event),
                "options": _preflight(),
            },
            "/events": {
                "post": _publishing("Publish many events", _many_events(), ("200",), _schema("BulkAnswer")),
                "options": _preflight(),
                "get": _listing(
                    "Events, the newest first", [*_filters("channelId", "appId"), *times], _schema("EventsAnswer")
                ),
            },
            "/event/{channel_id}/list": {
                "get": _listing(
                    "Events of a channel, the newest first",
                    [_parameter("channel_id", "path", "string"), *pages, _CURSOR, *_filters()],
                    {"type": "array", "items": event},
                )
            },
            "/traces": {
                "get": _listing(
                    "Traces, newest activity first",
                    [*pages, *times[:2], _number("offset", 0), _CURSOR],
                    {"oneOf": [traces, _schema("TracesAnswer")]},
                ),
                "delete": _deleting(
                    "Delete the traces of a session, of a user, or all of the tenant; exactly one is named",
                    [_parameter(name, "query", "string") for name in ("sessionId", "userId", "tenant")],
                ),
            },
            "/traces/{trace_id}": {
                "get": _reading("A trace and its events", [trace_id], _schema("WholeTraceAnswer")),
                "delete": _deleting("Delete a trace, for good", [trace_id]),
            },
            "/traces/{trace_id}/summary": {
                "get": _reading("Summary of a trace", [trace_id, events], _schema("SummaryAnswer"))
            },
            "/traces/{trace_id}/events": {
                "get": _reading("Events of a trace", [trace_id], {"type": "array", "items": event})
            },
            **live_paths(),
            **management_paths(),
            "/health/live": {"get": _probe("The process answers")},
            "/health/ready": {
                "get": _probe(
                    "Kafka and ClickHouse answer, the control data is read; the part `pipeline` does not count"
                )
            },
            "/metrics": {"get": _metrics()},
        },
        "components": {
            "schemas": {**inputs["$defs"], **answers["$defs"]},
            "securitySchemes": {
                "key": _header("X-API-Key"),
                "tenant": _header("x-tenant-id"),
                "recentKey": _header("x-axonpush-api-key"),
                "publicToken": _header("X-Public-Token"),
            },
        },
    }


@cache
def _encoded() -> bytes:
    return orjson.dumps(document())


class OpenApi:
    """The handler; the document is made once, for the first who asks."""

    async def answer(self, _: Request) -> Response:
        """GET /openapi.json: 200."""
        return Response(_encoded(), 200, media_type="application/json")


def _filters(*more: str) -> list[dict[str, Any]]:
    names = ("agentId", "eventType", "traceId", "environment", "source", *more)
    return [_parameter(name, "query", "string") for name in names]


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=name)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _many_events() -> dict[str, Any]:
    body = _json({"type": "array", "items": _schema("EventInput")})
    body["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    return body


def _publishing(
    summary: str, body: dict[str, Any], statuses: tuple[str, ...], schema: dict[str, Any]
) -> dict[str, Any]:
    stored = {"description": "Acknowledged by Kafka", **_json(schema)}
    answers = {**dict.fromkeys(statuses, stored), **errors(404, 409, 413, 415)}
    parent = {**_parameter("traceparent", "header", "string"), "description": _TRACEPARENT}
    body = {"required": True, "description": "Plain, or with Content-Encoding: gzip", **body}
    return {"summary": summary, "parameters": [parent], "requestBody": body, "responses": answers}


def _preflight() -> dict[str, Any]:
    """The answers' headers are those of https://fetch.spec.whatwg.org/#http-cors-protocol."""
    asked = [_parameter(name, "header", "string") for name in ("Origin", "Access-Control-Request-Method")]
    allowed = {"204": {"description": "A public token names the page's origin: it may publish"}}
    refused = {status: answer for status, answer in errors().items() if status in ("403", "503")}
    answers = allowed | errors_without_key() | refused
    summary = "A browser asks whether a page may publish (CORS preflight)"
    return {"summary": summary, "security": [], "parameters": asked, "responses": answers}


def _reading(summary: str, parameters: list[dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    answers = {"200": {"description": summary, **_json(schema)}, **errors(404)}
    return {"summary": summary, "parameters": parameters, "responses": answers}


def _deleting(summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    late = {
        "name": "late",
        "in": "query",
        "description": "what becomes of events that come later; by default as the server is set",
        "schema": {"type": "string", "enum": ["refused", "stored"]},
    }
    done = {"description": "Deleted; ClickHouse has not finished yet", **_json(_schema("DeletionAnswer"))}
    return {"summary": summary, "parameters": [*parameters, late], "responses": {"202": done, **errors(404, 409)}}


def _listing(summary: str, parameters: list[dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    reading = _reading(summary, parameters, schema)
    described = {"description": "of a page after which more may follow", "schema": {"type": "string"}}
    reading["responses"]["200"]["headers"] = {NEXT_CURSOR: described}
    return reading


def _probe(summary: str) -> dict[str, Any]:
    state = _json({"type": "object"})
    answers = {"200": {"description": summary, **state}, "503": {"description": "Not now; `parts` says why", **state}}
    return {"summary": summary, "security": [], "responses": {**answers, **errors_without_key()}}


def _metrics() -> dict[str, Any]:
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    summary = "What the gateway has done and holds, for Prometheus"
    answers = {"200": {"description": summary, **text}, **errors_without_key()}
    return {"summary": summary, "security": [], "responses": answers}


def _parameter(name: str, place: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": kind}}


def _number(name: str, least: int) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "integer", "minimum": least}}


def _time(name: str) -> dict[str, Any]:
    forms = [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]
    return {"name": name, "in": "query", "description": "or whole ms since 1970", "schema": {"anyOf": forms}}


def _header(name: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "header", "name": name}

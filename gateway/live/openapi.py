"""What /openapi.json says of the live streams."""

from __future__ import annotations

from typing import Any

from axonstream.gateway.http.openapi_errors import errors

_FILTERS = {
    "agentId": "events of this agent",
    "eventType": "events of this type",
    "traceId": "events of this trace",
    "errors": "true: errors alone",
}
_MORE_FILTERS = {**_FILTERS, "identifier": "events of this identifier"}
_DESCRIPTION = (
    "Server-sent events without end: `event: message` with an event as JSON in `data` and the position after it in "
    "`id`; `event: gap` with `{reason, resume, missed}` where events are missing (`missed`: how many of this stream a "
    "slow reader missed; left out for other reasons; `expired`: retention deleted them; `lost_end`: Kafka lost the end "
    "of its log, and some events may come again; `deleted`: the trace is, and the stream ends); "
    "a comment at least every 10 s. Last-Event-ID resumes at every gateway: nothing is missed, nothing comes twice."
)


def live_paths() -> dict[str, Any]:
    """The paths of the live streams."""
    channel, trace = _path("channel_id"), _path("trace_id")
    return {
        "/channel/{channel_id}/subscribe": _stream("Events of a channel, live", [channel], _MORE_FILTERS),
        "/channel/{channel_id}/{identifier}/subscribe": _stream(
            "Events of one identifier in a channel, live", [channel, _path("identifier")], _FILTERS
        ),
        "/traces/{trace_id}/live": _stream("Events of a trace, live", [trace], _MORE_FILTERS),
        "/live": _stream("All events of the tenant, live", [], _MORE_FILTERS),
    }


def _stream(summary: str, path: list[dict[str, Any]], filters: dict[str, str]) -> dict[str, Any]:
    parameters = [
        *path,
        *(_query(name, what) for name, what in filters.items()),
        _query("lastEventId", "as Last-Event-ID, for what cannot set headers"),
        {**_query("Last-Event-ID", "the id of the last event that was read"), "in": "header"},
    ]
    opened = {"description": _DESCRIPTION, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    return {"get": {"summary": summary, "parameters": parameters, "responses": {"200": opened, **errors(404)}}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": what, "schema": {"type": "string"}}

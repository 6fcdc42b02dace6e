"""Every question that the SDK asks, as a plain value: what to send, and how to read the answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from axonstream.amounts import amount_text
from axonstream.errors import ValidationError
from axonstream.event_contract import MAX_EVENT_BYTES, MAX_NAME_BYTES, EventInput
from axonstream.event_fields import EventFields
from axonstream.outgoing_event import (
    OutgoingBatch,
    OutgoingEvent,
    given_event,
    nothing_left,
    outgoing_event,
    too_large,
)
from axonstream.results import BatchResult, Deletion, Event, RefusedEvent, Rows, TraceListItem, TraceSummary
from axonstream.version import VERSION

Result = TypeVar("Result")

_WIRE_NAMES = [(name, info.alias or name) for name, info in EventInput.model_fields.items()]


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One request. It may be sent any number of times: reads change nothing, events carry a dedup key."""

    method: str
    path: str
    read: Callable[[Any, bool], Result]  # (decoded JSON, stale) -> result
    params: Mapping[str, str | int] | None = None  # httpx parses the address again for an empty one
    body: bytes | None = None


def tenant_of(tenant_id: str | int) -> str:
    """The tenant as text; one that cannot stand in a header is a ValidationError."""
    return _word("tenant_id", str(tenant_id) if type(tenant_id) is int else tenant_id)


def headers_of(api_key: str, tenant_id: str | int) -> dict[str, str]:
    """The headers of every request; a key or tenant that cannot stand in a header is a ValidationError."""
    return {
        "X-API-Key": _word("api_key", api_key),
        "x-tenant-id": tenant_of(tenant_id),
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"axonstream-python/{VERSION}",
    }


def _word(name: str, value: object) -> str:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
        and 1 <= len(value) <= MAX_NAME_BYTES
    ):
        return value
    raise ValidationError(
        f"{name} must be printable ASCII without spaces around it, and not empty",
        hint="The local stack has api_key='ak_local' and tenant_id='1'.",
    )


def publish_call(
    identifier: str,
    payload: Mapping[str, Any],
    channel_id: int | str,
    fields: EventFields,
    client_environment: str | None,
) -> Call[Event]:
    """POST /event."""
    event = outgoing_event(given_event(identifier, payload, channel_id, fields), client_environment)
    body = _body_of(event)
    if len(body) > MAX_EVENT_BYTES:
        raise too_large()
    return Call("POST", "/event", lambda answer, _: Event.model_validate(answer), body=body)


def publish_many_call(batch: OutgoingBatch) -> Call[BatchResult]:
    """POST /events."""

    def read(answer: Any, _: bool) -> BatchResult:
        return _result_of(BatchResult.model_validate(answer), batch)

    return Call("POST", "/events", read, body=b"[%b]" % b",".join(map(_body_of, batch.events)))


def list_traces_call(page: int, limit: int) -> Call[Rows[TraceListItem]]:
    """GET /traces."""

    def read(answer: Any, stale: bool) -> Rows[TraceListItem]:
        return Rows([TraceListItem.model_validate(row) for row in answer], stale=stale)

    return Call("GET", "/traces", read, params={"page": page, "limit": limit})


def summary_call(trace_id: str) -> Call[TraceSummary]:
    """GET /traces/{id}/summary, without the events that the server would read beside it."""

    def read(answer: Any, stale: bool) -> TraceSummary:
        return TraceSummary.model_validate({**answer, "stale": stale})

    return Call("GET", f"{trace_path(trace_id)}/summary", read, params={"events": 0})


def trace_events_call(trace_id: str) -> Call[Rows[Event]]:
    """GET /traces/{id}/events."""

    def read(answer: Any, stale: bool) -> Rows[Event]:
        return Rows([Event.model_validate(row) for row in answer], stale=stale)

    return Call("GET", f"{trace_path(trace_id)}/events", read)


def delete_trace_call(trace_id: str, late: str | None) -> Call[Deletion]:
    """DELETE /traces/{id}."""
    return _delete_call(trace_path(trace_id), {"late": late})


def delete_traces_call(
    session_id: str | None, user_id: str | None, tenant_id: str | None, late: str | None
) -> Call[Deletion]:
    """DELETE /traces of a session, of a user or of the tenant. Raises ValidationError unless one of them is named."""
    given = {"sessionId": session_id, "userId": user_id, "tenant": tenant_id}
    if sum(value is not None for value in given.values()) != 1:
        raise ValidationError(
            "name one of session_id, user_id and tenant_id", hint="A single trace is deleted with traces.delete()."
        )
    return _delete_call("/traces", given | {"late": late})


def _delete_call(path: str, given: Mapping[str, str | None]) -> Call[Deletion]:
    params = {name: value for name, value in given.items() if value is not None}
    return Call("DELETE", path, lambda answer, _: Deletion.model_validate(answer), params=params or None)


def _body_of(sent: OutgoingEvent) -> bytes:
    """The event by its wire names."""
    fields = {wire: value for name, wire in _WIRE_NAMES if (value := getattr(sent.event, name)) is not None}
    fields["payload"] = orjson.Fragment(sent.payload)
    if sent.metadata is not None:
        fields["metadata"] = orjson.Fragment(sent.metadata)
    return orjson.dumps(fields, default=_number_of)


def _number_of(value: object) -> orjson.Fragment:
    """Of an amount, with the digits that it has: the only value of an event that is not JSON."""
    if isinstance(value, Decimal):
        return orjson.Fragment(amount_text(value))
    raise TypeError(f"{type(value).__name__} is no value of an event")


def _result_of(answer: BatchResult, batch: OutgoingBatch) -> BatchResult:
    """The server counts the places of what was sent; the caller those of what it gave."""
    told = [one.model_copy(update={"index": batch.places[one.index]}) for one in answer.rejected]
    rejected = sorted([*batch.refused, *told], key=_place)
    if rejected and not answer.accepted:
        raise nothing_left(rejected)
    return answer.model_copy(update={"rejected": tuple(rejected)})


def _place(one: RefusedEvent) -> int:
    return one.index


def trace_path(trace_id: str) -> str:
    """Where a trace is asked for. Raises ValidationError for what cannot be a trace id."""
    try:
        size = len(trace_id.encode())
    except UnicodeEncodeError as error:
        raise ValidationError("trace_id is not valid Unicode", hint="Pass the id as it was published.") from error
    if not 1 <= size <= MAX_NAME_BYTES:
        raise ValidationError(f"trace_id is not 1 to {MAX_NAME_BYTES} bytes", hint="Pass the id as it was published.")
    # A path segment of dots alone would be taken for a directory.
    return f"/traces/{quote(trace_id, safe='').replace('.', '%2E')}"

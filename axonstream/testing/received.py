"""From the body of a publish to the events in it: JSON, its shape, and what the headers of the request add."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any, cast

import httpx
import orjson

from axonstream import wire_json
from axonstream.event_contract import MAX_DEPTH, MAX_EVENT_BYTES, MAX_VALUES, EventInput
from axonstream.event_fields import SENT, Amount
from axonstream.testing.asked import RefusedError
from axonstream.traceparent import read_traceparent

_AMOUNTS = tuple(name for field in SENT if isinstance(field.kind, Amount) for name in (field.wire, field.name))
MAX_BULK_BYTES, MAX_BULK_EVENTS = 32 << 20, 50_000


def _any_number(digits: str) -> Decimal:
    """NaN, which is no amount, where the exponent is beyond all bounds."""
    return Decimal(digits, Context(traps=[]))


def parsed(raw: bytes) -> Any:
    """Raises ValueError for what is not JSON."""
    if not raw.strip():
        raise ValueError("the body is empty; it must be a JSON object")
    try:
        orjson.loads(raw)  # the strict one
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not valid JSON in UTF-8: {error}") from None
    value = wire_json.decode(raw)  # the one that keeps large integers
    if any(name.encode() in raw for name in _AMOUNTS):
        _put_digits(value, json.loads(raw, parse_float=_any_number))
    return value


def _put_digits(value: Any, exact: Any) -> None:
    """Amounts as their digits say, where a float would hold fewer."""
    for one, same in zip(value, exact, strict=True) if isinstance(value, list) else [(value, exact)]:
        if isinstance(one, dict):
            one.update((name, same[name]) for name in _AMOUNTS if isinstance(same.get(name), Decimal))


def split(body: bytes) -> list[Any]:
    """The events of a body: bytes, or values of an array."""
    if len(body) > MAX_BULK_BYTES:
        raise RefusedError(413, f"the body is larger than {MAX_BULK_BYTES} bytes", "Send fewer events at once.")
    hint = "Send a JSON array of events, or one event a line (NDJSON); nothing was stored."
    found: list[Any] = [line for line in body.split(b"\n") if line.strip()]
    if body.lstrip().startswith(b"["):
        try:
            found = cast("list[Any]", parsed(body))
        except ValueError as error:
            raise RefusedError(400, str(error), hint) from None
    if not found:
        raise RefusedError(400, "the body holds no event", hint)
    if len(found) > MAX_BULK_EVENTS:
        raise RefusedError(413, f"more than {MAX_BULK_EVENTS} events in one request", "Send fewer events at once.")
    return found


def event_of(parsed: Any, request: httpx.Request) -> EventInput:
    """The event with what the headers of its request add. Raises PydanticError, or ValueError for its shape."""
    if not isinstance(parsed, dict):
        raise ValueError("the event must be a JSON object")  # noqa: TRY004  as for text that is not JSON
    fields = cast("dict[str, Any]", parsed)
    _check_shape(fields)
    if fields.get("environment") is None and (environment := request.headers.get("x-axonpush-environment")):
        fields = fields | {"environment": environment}
    if fields.get("eventType", "") is None:
        fields = {name: value for name, value in fields.items() if name != "eventType"}
    parent = read_traceparent(request.headers.get("traceparent", ""))
    if parent is not None and fields.get("traceId") is None and fields.get("trace_id") is None:
        span = {} if fields.get("parentSpanId") or fields.get("parent_span_id") else {"parentSpanId": parent.span_id}
        fields = fields | {"traceId": parent.trace_id} | span
    return EventInput.model_validate(fields)


def _check_shape(event: dict[str, Any]) -> None:
    """Raises ValueError for an event that is too large, too deep, or of too many values."""
    if len(wire_json.encode(event)) > MAX_EVENT_BYTES:
        raise ValueError(f"the event is larger than {MAX_EVENT_BYTES} bytes")
    level: list[Any] = [event]
    depth = values = 0
    while level:
        values += len(level)
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        depth += bool(inner)
        if depth > MAX_DEPTH:
            raise ValueError(f"the event cannot be kept as it is: nested deeper than {MAX_DEPTH}")
        if values > MAX_VALUES:
            raise ValueError(f"the event has more than {MAX_VALUES} values")
        level = [value for one in inner for value in cast("list[Any]", one)]

"""From a sender's JSON object to a validated event, or to words that say what is wrong with which field."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from axonstream.event_contract import EventInput, valid_event
from axonstream.event_fields import SENT
from axonstream.traceparent import Traceparent

_MUST_BE = {name: field.words for field in SENT for name in (field.sent_as or field.wire, field.name)}  # as it was sent
_OWN_WORDS = "Value error, must be "  # of a validator of the event contract, as pydantic reports them


class InvalidEventError(ValueError):
    """An object that is no event; `messages` names every wrong field and what it must be."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def validate_event(fields: dict[str, Any], environment: str | None) -> EventInput:
    """The event, validated once. `environment` stands in where the object names none. Raises InvalidEventError."""
    if environment is not None and fields.get("environment") is None:
        fields = {**fields, "environment": environment}
    if fields.get("eventType", "") is None:
        fields = {name: value for name, value in fields.items() if name != "eventType"}
    try:
        return valid_event(fields)
    except ValidationError as error:
        raise InvalidEventError(_messages(error)) from None


def joined(fields: dict[str, Any], parent: Traceparent) -> dict[str, Any]:
    """An event of the parent's trace, below its span unless it names another; one that names a trace stays as it is."""
    if _named(fields, "traceId", "trace_id"):
        return fields
    fields = {**fields, "traceId": parent.trace_id}
    if not _named(fields, "parentSpanId", "parent_span_id"):
        fields["parentSpanId"] = parent.span_id
    return fields


def _named(fields: dict[str, Any], *names: str) -> bool:
    return any(fields.get(name) is not None for name in names)


def _messages(error: ValidationError) -> list[str]:
    messages: dict[str, None] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        field = str(problem["loc"][0])
        missing = " (it is missing)" if problem["type"] == "missing" else ""
        must_be = _MUST_BE[field]
        if field in ("occurredAt", "occurred_at") and problem["msg"].startswith(_OWN_WORDS):
            must_be = problem["msg"].removeprefix("Value error, ")  # which name this very time, and its unit
        messages[f"{field} {must_be}{missing}"] = None
    return list(messages)

"""What an event is: the model that every publisher validates with, over HTTP or straight to Kafka.

Limits are in bytes of UTF-8. Nothing here does I/O, reads a clock or depends on a server part.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from pydantic.alias_generators import to_camel

from axonstream.amounts import amount
from axonstream.event_fields import (
    MAX_ID,
    MAX_NAME_BYTES,
    MAX_TIME_MS,
    RARE,
    SENT,
    Amount,
    ChannelNumber,
    Choice,
    EventAttributes,
    EventField,
    EventFields,
    ForeignId,
    Object,
    Status,
    Text,
    Time,
    Whole,
)
from axonstream.names import NameFault, name_fault
from axonstream.unix_ms import EPOCH

MAX_EVENT_BYTES = 1 << 20
MAX_DEPTH = 100
MAX_VALUES = 50_000  # strings, numbers, literals, arrays and objects of one event, the event itself included
# Seconds from 1973 to 5138; as ms they would be days from 1970-01-02 to 1973-03-03, on which no agent ran.
SECONDS = range(10**8, 10**11)
_LEAST_MICROSECONDS, _LEAST_NANOSECONDS = 10**14, 10**17  # 1973, as SECONDS


class EventType(StrEnum):
    """The event types with a meaning of their own; any other `[a-z0-9_.]{1,64}` is accepted too."""

    AGENT_START = "agent.start"
    AGENT_END = "agent.end"
    AGENT_MESSAGE = "agent.message"
    AGENT_TOOL_CALL_START = "agent.tool_call.start"
    AGENT_TOOL_CALL_END = "agent.tool_call.end"
    AGENT_ERROR = "agent.error"
    AGENT_HANDOFF = "agent.handoff"
    AGENT_LLM_START = "agent.llm.start"
    AGENT_LLM_END = "agent.llm.end"
    AGENT_LLM_TOKEN = "agent.llm.token"  # noqa: S105  a token of text, not a secret
    AGENT_LOG = "agent.log"
    APP_LOG = "app.log"
    APP_SPAN = "app.span"
    CUSTOM = "custom"


def _name(value: str) -> str:
    match name_fault(value):
        case NameFault.NUL:
            raise ValueError("must not hold a NUL character")
        case NameFault.LONG:
            raise ValueError(f"must be at most {MAX_NAME_BYTES} bytes of UTF-8")
        case _:
            return value


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _milliseconds(value: object) -> object:
    """ISO 8601 with zone, a datetime with zone, or whole milliseconds since 1970."""
    if isinstance(value, bool):
        raise ValueError("must be a time, not true or false")  # noqa: TRY004  pydantic reports a ValueError
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                "must be ISO 8601 with a zone, as 2026-01-31T12:00:00.000Z, or whole milliseconds"
            ) from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("must carry a time zone, as 2026-01-31T12:00:00.000Z")
        ms = round((value - EPOCH).total_seconds() * 1000)
        if ms in SECONDS:
            raise ValueError("must be after 1973-03-03: an earlier time is most often a number of another unit")
        return ms
    return value


def unit_instead_of_ms(number: float) -> tuple[str, str] | None:
    """The unit that `number` is most likely in, and what makes it ms; None when it may be ms since 1970."""
    if SECONDS.start <= number < SECONDS.stop:
        return "seconds", "multiply it by 1000"
    if number >= _LEAST_NANOSECONDS:
        return "nanoseconds", "divide it by 1,000,000"
    return ("microseconds", "divide it by 1000") if number >= _LEAST_MICROSECONDS else None


def _no_other_unit(value: object) -> object:
    """Numbers in another unit, before they are told to be out of range or no whole number."""
    if isinstance(value, int | float) and (found := unit_instead_of_ms(value)):
        unit, remedy = found
        raise ValueError(f"must be whole milliseconds since 1970, and {value} looks like {unit}: {remedy}")
    return value


def _number_or_digits(value: object) -> object:
    """Pydantic would take true, "1_000" and " 1 " for numbers, too."""
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError("must be a whole number, or its digits in a string")
    return value


# What a validator takes beyond the type that it makes, for /openapi.json.
_NAME_FORM = {"type": "string", "maxLength": MAX_NAME_BYTES}
_ID_FORMS = [{"type": "integer", "minimum": 0, "maximum": MAX_ID}, {"type": "string", "pattern": "^[0-9]{1,19}$"}]
_TIME_FORMS = [
    {"type": "integer", "minimum": 0, "maximum": MAX_TIME_MS},
    {"type": "string", "format": "date-time"},
    {"type": "null"},
]

Name = Annotated[str, AfterValidator(_name), WithJsonSchema(_NAME_FORM)]
WholeMs = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
OpaqueId = Annotated[
    Name | None,
    BeforeValidator(_number_as_text),
    WithJsonSchema({"anyOf": [_NAME_FORM, {"type": "integer"}, {"type": "null"}]}),
]
ChannelId = Annotated[
    int, BeforeValidator(_number_or_digits), Field(ge=0, le=MAX_ID), WithJsonSchema({"anyOf": _ID_FORMS})
]
OccurredAt = Annotated[
    WholeMs | None,
    BeforeValidator(_no_other_unit),
    BeforeValidator(_milliseconds),
    WithJsonSchema({"anyOf": _TIME_FORMS}),
]


def _plain_number(value: object) -> object:
    """Pydantic would take true, 2.0 and "2" for whole numbers, too."""
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


def _type_of(field: EventField) -> Any:
    """What pydantic checks of a field that is given, beside its least length."""
    match field.kind:
        case Text(pattern=str(pattern)):
            return Annotated[str, Field(pattern=pattern)]
        case Text():
            return Name
        case Whole(most=most):
            form = {"type": "integer", "minimum": 0, "maximum": most}
            return Annotated[int, BeforeValidator(_plain_number), Field(ge=0, le=most), WithJsonSchema(form)]
        case Choice(words=words):
            return Literal[words]
        case Amount(most=most):
            form = {"type": "number", "minimum": 0, "maximum": most}
            return Annotated[Decimal, BeforeValidator(partial(amount, most=most)), WithJsonSchema(form)]
        case ChannelNumber():
            return ChannelId
        case ForeignId():
            return OpaqueId
        case Time():
            return OccurredAt
        case Object():
            return dict[str, Any]


def _definition(field: EventField) -> tuple[Any, Any]:
    """Type and default of a field, as `create_model` takes them."""
    kind, default = _type_of(field), None
    if field.required:
        default = ...
    elif field.name == "event_type":
        default = EventType.CUSTOM.value
    elif not isinstance(field.kind, ForeignId | Time):  # which are nullable themselves
        kind = kind | None
    if isinstance(field.kind, Text) and field.kind.least and not field.kind.pattern:
        kind = Annotated[kind, Field(min_length=field.kind.least)]
    return Annotated[kind, Field(alias=field.sent_as or None, description=field.said)], default


class _Input(BaseModel):
    model_config = ConfigDict(populate_by_name=True, alias_generator=to_camel, extra="ignore", frozen=True)


if TYPE_CHECKING:

    class _Fields(_Input, EventAttributes[None]):
        """The fields that code names, beside those that are carried."""

        identifier: str
        payload: dict[str, Any]
        channel_id: int
        trace_id: str | None = None
        parent_event_id: str | None = None
        event_type: str = EventType.CUSTOM.value
        metadata: dict[str, Any] | None = None
        status: Status | None = None
        occurred_at: int | None = None

else:
    _Fields = create_model("_Fields", __base__=_Input, **{field.name: _definition(field) for field in SENT})


class EventInput(_Fields):
    """One event as a publisher hands it over; the wire names are camelCase, but for `channel_id`.

    Its fields are those of `event_fields`. Does not promise that the channel or the parent exists. Unknown fields are
    ignored.
    """

    if TYPE_CHECKING:

        def __init__(
            self, *, identifier: str, payload: dict[str, Any], channel_id: int | str, **fields: Unpack[EventFields]
        ) -> None: ...


class _WithoutRare(_Input):
    """Of the fields that few events have, none was given."""


for _field in RARE:
    setattr(_WithoutRare, _field.name, None)

_usual_fields: dict[str, Any] = {field.name: _definition(field) for field in SENT if field not in RARE}
_Usual = create_model("_Usual", __base__=_WithoutRare, **_usual_fields)
_RARE_NAMES = frozenset(name for field in RARE for name in (field.wire, field.name))
_usual: Callable[[Any], Any] = _Usual.__pydantic_validator__.validate_python  # model_validate, without its options
_any: Callable[[Any], Any] = EventInput.__pydantic_validator__.validate_python


def valid_event(fields: dict[str, Any]) -> EventInput:
    """The event, validated once. Raises pydantic's ValidationError.

    Where no rare field is named, none is looked for: that saves a tenth. The answer is then an EventInput in all but
    its class.
    """
    return _usual(fields) if _RARE_NAMES.isdisjoint(fields) else _any(fields)


def trace_id_of(tenant_id: str, dedup_key: str) -> str:
    """The trace of an event that has a dedup key and names no trace: the same however often it is sent."""
    digest = blake2b(f"{tenant_id}\x00{dedup_key}".encode(), digest_size=8, person=b"trace of a key")
    return f"tr_{digest.hexdigest()}"


def event_id_of(tenant_id: str, trace_id: str, dedup_key: str) -> int:
    """The 63-bit id of an event with a dedup key: the same key in the same trace is the same event."""
    digest = blake2b(f"{tenant_id}\x00{trace_id}\x00{dedup_key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") & MAX_ID

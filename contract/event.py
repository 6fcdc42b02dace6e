"""An event as it stands in its Kafka record: the fields, their types and most of their limits.

The order is that of `encode_event`: an event that is encoded again is its record, byte for byte, which is how the
validation knows that no field in it is repeated.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder, Encoder

from axonstream.amounts import text_pattern
from axonstream.event_fields import (
    MAX_ID,
    MAX_NAME_BYTES,
    MAX_TIME_MS,
    OPTIONAL_IN_RECORD,
    Amount,
    Choice,
    EventAttributes,
    EventField,
    Whole,
)

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_BYTES)]
_Optional = Annotated[str, Meta(max_length=MAX_NAME_BYTES)]
_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_TimeMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]


class _Always(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False, kw_only=True):
    """What every record has, beside its payload: code names these fields, so they are written out."""

    v: Literal[1]
    tenant_id: _Name
    event_id: _Id
    trace_id: _Name
    channel_id: _Id
    event_type: _Name
    identifier: _Name
    occurred_at: _TimeMs
    received_at: _TimeMs
    source: _Name


def _optional(field: EventField) -> tuple[str, Any, Any]:
    match field.kind:
        case Whole(most=most):
            return field.name, Optional[Annotated[int, Meta(ge=0, le=most)]], None  # noqa: UP045  Annotated has no |
        case Choice(words=words):
            return field.name, Literal["", *words], ""
        case Amount(most=most):
            return _TEXT_OF[field.name], Annotated[str, Meta(pattern=text_pattern(most))], ""
        case _:
            return field.name, _Optional, ""


def _number(text_name: str) -> property:
    """The number that the record has as text; whoever asks for it has it made."""
    text_of = attrgetter(text_name)

    def number(event: Event) -> Decimal | None:
        return Decimal(text) if (text := text_of(event)) else None

    return property(number)


# An amount is kept as its text, and encoded as it came; its field gives the number.
_TEXT_OF = {field.name: f"{field.name}_text" for field in OPTIONAL_IN_RECORD if isinstance(field.kind, Amount)}


if TYPE_CHECKING:

    class _Fields(_Always, EventAttributes[str]):
        parent_event_id: str
        status: str
        payload: Raw
        metadata: Raw | UnsetType

else:
    _OBJECTS = [("payload", Raw), ("metadata", Raw | UnsetType, UNSET)]
    _Fields = defstruct(
        "_Fields",
        [*map(_optional, OPTIONAL_IN_RECORD), *_OBJECTS],
        bases=(_Always,),
        kw_only=True,
        rename={text: name for name, text in _TEXT_OF.items()},
        namespace={name: _number(text) for name, text in _TEXT_OF.items()},
    )


class Event(_Fields):
    """Only the validation makes one, of a record that is valid in every respect.

    A text that is missing is "", a number that is missing is None. `payload` and `metadata` are the very bytes that
    stand in the record; times are ms since 1970.
    """


_decoder, _encoder = Decoder(Event), Encoder()
decode_event, decode_lines = _decoder.decode, _decoder.decode_lines
encode_lines, encode_again = _encoder.encode_lines, _encoder.encode

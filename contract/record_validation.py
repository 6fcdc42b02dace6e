"""The validation on a Kafka record: is it a valid event, and if not, why. Fold and sink use this same validation.

It must stand before anything that reads the bytes again: ClickHouse wraps integers, fills in defaults and takes two
objects in one message for two rows without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import orjson
from msgspec import UNSET, MsgspecError

from axonstream.contract.event import Event, decode_event, decode_lines, encode_again, encode_lines
from axonstream.contract.event_record import SCHEMA_VERSION
from axonstream.contract.json_shape import JsonShapeError, read_json, too_many_values
from axonstream.contract.slices import slices
from axonstream.event_contract import (
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_VALUES,
    SECONDS,
    EventType,
    unit_instead_of_ms,
)
from axonstream.event_fields import EVENT_TYPE_PATTERN, FIELDS, ForeignId, Text
from axonstream.names import NameFault, name_fault

MAX_RECORD_BYTES = 2 << 20  # an event of 1 MiB, its metadata and the fields that the server adds

_NAMES = tuple(field.name for field in FIELDS if isinstance(field.kind, Text | ForeignId))
_NUMBERS = ("event_id", "channel_id", "occurred_at", "received_at")
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")
_KNOWN_TYPES = frozenset(kind.value for kind in EventType)
_MOST_VALUES = MAX_VALUES + 32  # payload, metadata, and the fields beside them
_times: Callable[[Event], int] = attrgetter("occurred_at")
_names: Callable[[Event], tuple[str, ...]] = attrgetter(*_NAMES)
_DICT = {dict}
RUN, SHORT_RUN = 256, 32  # as many values are decoded at once: about 100 KB, which stay in the cache
RUN_BYTES = 256 << 10  # and no more, so that a run of the dearest events takes 10 ms


class Record(Protocol):
    """What validation reads of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class ValidationFailure:
    """Why a record is no event, in words for a person."""

    reason: str


def validate_record(key: bytes | None, value: bytes | None) -> Event | ValidationFailure:
    """The record's event, or the reason why it is none. Pure; never raises."""
    if value is None:
        return ValidationFailure("the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        return ValidationFailure(f"the record is larger than {MAX_RECORD_BYTES} bytes")
    quick = _fast_path([value])
    event = quick.judged[0] if quick else _any_event(value)
    if isinstance(event, Event) and key != event.trace_id.encode():
        return ValidationFailure("the record's key is not its trace_id")
    return event


class ValidatedRun(NamedTuple):
    """What validation says of each record of a run, in their order.

    `spelt` has each event as `encode_event` spells it: the record's own value, where another encoder did not write it.
    A refused record has b"" there.
    """

    judged: Sequence[Event | ValidationFailure]
    spelt: Sequence[bytes]


def runs(records: Sequence[R]) -> Iterator[Sequence[R]]:
    """The records in pieces that are judged in one go; between two of them, others may have a turn."""
    return slices(records, [len(record.value or b"") for record in records], RUN, RUN_BYTES)


def validate_records(records: Sequence[Record]) -> ValidatedRun:
    """As `validate_record` one by one, in a third of the time."""
    judged: list[Event | ValidationFailure] = []
    spelt: list[bytes] = []
    for run in runs(records):
        for some in [run] if (quick := _fast_path_of(run)) else _short_runs(run):  # one refusal makes few others dear
            found = quick or _fast_path_of(some) or _one_by_one(some)
            judged += found.judged
            spelt += found.spelt
    return ValidatedRun(judged, spelt)


def _short_runs(run: Sequence[R]) -> Iterator[Sequence[R]]:
    return (run[at : at + SHORT_RUN] for at in range(0, len(run), SHORT_RUN))


def _one_by_one(run: Sequence[Record]) -> ValidatedRun:
    judged = [validate_record(record.key, record.value) for record in run]
    return ValidatedRun(
        judged, [b"" if isinstance(event, ValidationFailure) else encode_again(event) for event in judged]
    )


def _fast_path_of(run: Sequence[Record]) -> ValidatedRun | None:
    quick = _fast_path([record.value for record in run])
    if quick and all(
        record.key == event.trace_id.encode()  # pyright: ignore[reportAttributeAccessIssue]  a fast path refuses none
        for record, event in zip(run, quick.judged, strict=True)
    ):
        return quick
    return None


def _fast_path(values: Sequence[bytes | None]) -> ValidatedRun | None:
    """The events of all values, only where `_any_event` refuses none. None says nothing.

    All are decoded at once and encoded once more. Both texts have the same quotes where no field stands twice,
    whatever the order of the fields and the spaces around them. Then payloads and metadata are read, as one text.
    """
    try:
        text = b"\n".join([*values, b""])  # pyright: ignore[reportArgumentType]  a None is a TypeError
        sent = cast("Sequence[bytes]", values)
        if _holds_too_much(text, sent):
            return None
        events = decode_lines(text)
        spelt = encode_lines(events)
        if (
            len(events) == len(sent)
            and _hold_one_each(sent)
            and _are_later_than_seconds(events)
            and (spelt == text or _has_all_fields_of(text, spelt) or _repeat_no_field(sent))
            and _objects_are_plain(events)
            and _have_good_names(events, spelt)
        ):
            return ValidatedRun(events, sent if spelt == text else _apart(spelt, events))
    except (MsgspecError, orjson.JSONDecodeError, JsonShapeError, UnicodeError, RecursionError, TypeError, KeyError):
        pass
    return None


def _hold_one_each(values: Sequence[bytes]) -> bool:
    """Whether no event begins in one value and ends in the next, where all values together are as many events.

    Within an event, no brace opens right after one that closes. So each value that is in braces holds whole events.
    """
    return all(map(_is_in_braces, values)) or all(map(_is_in_braces, map(bytes.strip, values)))


def _is_in_braces(value: bytes) -> bool:
    return value[:1] == b"{" and value[-1:] == b"}"


def _has_all_fields_of(text: bytes, spelt: bytes) -> bool:
    """Whether `spelt`, encoded from `text`, lacks no field of it.

    What is left out takes the quotes of its name with it. Nothing brings quotes in but one that is spelt as \\u0022.
    """
    return text.count(b'"') == spelt.count(b'"') and b"\\u0022" not in text


def _repeat_no_field(values: Sequence[bytes]) -> bool:
    """True. Raises JsonShapeError where one of the values has a field twice: fields may also lack for being empty."""
    return bool(read_json(b"[%b]" % b",".join(values), MAX_DEPTH + 1))


def _apart(spelt: bytes, events: Sequence[Event]) -> list[bytes]:
    """The lines of `spelt`, one an event; payloads and metadata may hold line ends of their own."""
    *lines, _ = spelt.split(b"\n")
    return lines if len(lines) == len(events) else [*map(encode_again, events)]


def _objects_are_plain(events: Sequence[Event]) -> bool:
    """Whether payload and metadata of all are valid objects, as far as types leave it open."""
    objects = [bytes(event.payload) for event in events]
    objects += [bytes(event.metadata) for event in events if event.metadata is not UNSET]
    return _are_objects(read_json(b"[%b]" % b",".join(objects), MAX_DEPTH))  # the list stands for the record


def _are_later_than_seconds(events: Sequence[Event]) -> bool:
    """Whether no time can be in seconds: where one may be, `_any_event` looks at each."""
    return min(map(_times, events), default=SECONDS.stop) >= SECONDS.stop or not any(
        event.occurred_at in SECONDS for event in events
    )


def _are_objects(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == _DICT


def _holds_too_much(text: bytes, values: Sequence[bytes]) -> bool:
    """Whether one of the values does; `text` is all of them."""
    return (len(text) > MAX_RECORD_BYTES and max(map(len, values)) > MAX_RECORD_BYTES) or (
        len(text) > 2 * _MOST_VALUES and any(too_many_values(value, _MOST_VALUES) for value in values)
    )


def _have_good_names(events: Sequence[Event], spelt: bytes) -> bool:
    """What the types of an event leave open, of all at once; `spelt` is what they are encoded as.

    Where all names are ASCII, the limit of their characters is that of their bytes.
    """
    return (
        all(map(_is_event_type, {event.event_type for event in events}))
        and (b"\\" not in spelt or b"\\u0000" not in spelt)
        and (spelt.isascii() or all(map(_has_short_names, events)))
    )


def _is_event_type(event_type: str) -> bool:
    return event_type in _KNOWN_TYPES or _EVENT_TYPE.match(event_type) is not None


def _has_short_names(event: Event) -> bool:
    """Whether all names are within the limit in UTF-8, however many bytes their characters have."""
    return max(map(len, _names(event))) <= MAX_NAME_BYTES // 4


def _any_event(value: bytes) -> Event | ValidationFailure:
    """The certain way, for any encoder of JSON, which says what is wrong."""
    if too_many_values(value, _MOST_VALUES):
        return ValidationFailure(f"more than {MAX_VALUES} values")
    try:
        read = read_json(value)
    except orjson.JSONDecodeError as error:
        return ValidationFailure(f"not one JSON value in UTF-8: {error}")
    except JsonShapeError as error:
        return ValidationFailure(str(error))
    if not isinstance(read, dict):
        return ValidationFailure("not a JSON object")
    fields = cast("dict[str, Any]", read)
    if fields.get("v") != SCHEMA_VERSION or type(fields["v"]) is not int:
        return ValidationFailure(f"schema version is not {SCHEMA_VERSION}")
    try:
        event = decode_event(value)
    except (MsgspecError, UnicodeError, RecursionError) as error:
        return ValidationFailure(_wrong_time(fields) or f"not an event: {error}")
    if reason := _wrong_field(event, fields):
        return ValidationFailure(reason)
    return event


def _wrong_time(fields: dict[str, Any]) -> str | None:
    """Why `occurred_at` is not in ms, where it is a number in another unit."""
    number = fields.get("occurred_at")
    if isinstance(number, int | float) and (found := unit_instead_of_ms(number)):
        unit, remedy = found
        return f"occurred_at must be milliseconds since 1970, and {number} looks like {unit}: {remedy}"
    return None


def _wrong_field(event: Event, fields: dict[str, Any]) -> str | None:
    """What the types of an event leave open."""
    for name, text in zip(_NAMES, _names(event), strict=True):
        match name_fault(text):
            case NameFault.LONG:
                return f"{name} is longer than {MAX_NAME_BYTES} bytes"
            case NameFault.NUL:
                return f"{name} holds a NUL"
            case _:
                pass
    for name in _NUMBERS:
        if type(fields[name]) is not int:
            return f"{name} is not a whole number"
    if reason := _wrong_time(fields):
        return reason
    if not _is_event_type(event.event_type):
        return f"event_type does not match {EVENT_TYPE_PATTERN}"
    for name in ("payload", "metadata"):
        if not isinstance(fields.get(name, {}), dict):
            return f"{name} is not an object"
    return None

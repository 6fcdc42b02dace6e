"""The verdict on a Kafka record: is it a valid event, and if not, why. Fold and sink use this same verdict.

It must stand before anything that reads the bytes again: ClickHouse wraps integers, fills in defaults and takes two
objects in one message for two rows without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter, contains, eq, itemgetter
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import orjson
from msgspec import UNSET, MsgspecError

from axonstream.event_contract import (
    EVENT_TYPE_PATTERN,
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_VALUES,
    SECONDS,
    EventType,
    unit_instead_of_ms,
)
from producers.event import Event, decode_event, decode_lines, encode_again, encode_lines
from producers.event_record import SCHEMA_VERSION
from producers.json_shape import JsonShapeError, read_json, too_many_values

MAX_RECORD_BYTES = 2 << 20  # an event of 1 MiB, its metadata and the fields that the server adds

_NAMES = (
    *("tenant_id", "trace_id", "identifier", "event_type", "source"),
    *("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment"),
)
_NUMBERS = ("event_id", "channel_id", "occurred_at", "received_at")
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")
_KNOWN_TYPES = frozenset(kind.value for kind in EventType)
_MOST_VALUES = MAX_VALUES + 32  # payload, metadata, and the fields beside them
_times: Callable[[Event], int] = attrgetter("occurred_at")
_names: Callable[[Event], tuple[str, ...]] = attrgetter(*_NAMES)
_numbers: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter("v", *_NUMBERS)
_DICT, _INT = {dict}, {int}
RUN, SHORT_RUN = 256, 32  # as many values are decoded at once: about 100 KB, which stay in the cache
RUN_BYTES = 256 << 10  # and no more, so that a run of the dearest events takes 10 ms


class Record(Protocol):
    """What the verdict reads of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is no event, in words for a person."""

    reason: str


def verdict(key: bytes | None, value: bytes | None) -> Event | Refusal:
    """The record's event, or the reason why it is none. Pure; never raises."""
    if value is None:
        return Refusal("the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        return Refusal(f"the record is larger than {MAX_RECORD_BYTES} bytes")
    quick = _quick_yes([value])
    event = quick.judged[0] if quick else _any_event(value)
    if isinstance(event, Event) and key != event.trace_id.encode():
        return Refusal("the record's key is not its trace_id")
    return event


class Verdicts(NamedTuple):
    """What the verdict says of each record of a run, in their order; `plain` says that all are plain events."""

    judged: Sequence[Event | Refusal]
    plain: bool


def runs(records: Sequence[R]) -> Iterator[Sequence[R]]:
    """The records in pieces that are judged in one go; between two of them, others may have a turn."""
    start = size = 0
    for at, record in enumerate(records):
        length = len(record.value or b"")
        if at > start and (at - start >= RUN or size + length > RUN_BYTES):
            yield records[start:at]
            start, size = at, 0
        size += length
    if start < len(records):
        yield records[start:]


def verdicts(records: Sequence[Record]) -> Verdicts:
    """As `verdict` one by one, in a third of the time."""
    judged: list[Event | Refusal] = []
    plain = True
    for run in runs(records):
        if quick := _quick_yes_of(run):
            judged += quick.judged
            plain &= quick.plain
        else:
            plain = False
            for at in range(0, len(run), SHORT_RUN):  # one that is not an event does not make all others dear
                some = run[at : at + SHORT_RUN]
                quick = _quick_yes_of(some)
                judged += quick.judged if quick else [verdict(record.key, record.value) for record in some]
    return Verdicts(judged, plain)


def _quick_yes_of(run: Sequence[Record]) -> Verdicts | None:
    quick = _quick_yes([record.value for record in run])
    if quick and all(
        record.key == event.trace_id.encode()  # pyright: ignore[reportAttributeAccessIssue]  a quick yes refuses none
        for record, event in zip(run, quick.judged, strict=True)
    ):
        return quick
    return None


def _quick_yes(values: Sequence[bytes | None]) -> Verdicts | None:
    """The events of all values, only where `_any_event` refuses none. None says nothing.

    All are decoded at once and encoded once more. Where the same bytes come out they are plain: no field stands twice,
    none is escaped but control characters, and there is no space around one. Then payloads and metadata are read, as
    one text, and else the whole records of another encoder, which cost twice as much.
    """
    try:
        text = b"\n".join([*values, b""])  # pyright: ignore[reportArgumentType]  a None is a TypeError
        sent = cast("Sequence[bytes]", values)
        if _holds_too_much(text, sent):
            return None
        events = decode_lines(text)
        plain = encode_lines(events) == text and _are_lines(events, sent)
        if (
            len(events) == len(sent)
            and _are_later_than_seconds(events)
            and (_objects_are_plain(events) if plain else _are_events(events, sent))
        ):
            is_ascii = text.isascii() and (plain or b"\\u" not in text)
            if _have_good_names(events, text, is_ascii=is_ascii):
                return Verdicts(events, plain)
    except (MsgspecError, orjson.JSONDecodeError, JsonShapeError, UnicodeError, RecursionError, TypeError, KeyError):
        pass
    return None


def _are_lines(events: Sequence[Event], values: Sequence[bytes]) -> bool:
    """Whether each event is one of the values, where all together are the same text.

    Payloads may hold line ends. One that began in a value and ended in the next would make up for a value of two.
    """
    if not any(map(contains, values, repeat(b"\n"))):
        return True
    return len(events) == len(values) and all(map(eq, map(encode_again, events), values))


def _objects_are_plain(events: Sequence[Event]) -> bool:
    """Whether payload and metadata of all are valid objects, as far as types leave it open."""
    objects = [bytes(event.payload) for event in events]
    objects += [bytes(event.metadata) for event in events if event.metadata is not UNSET]
    return _are_objects(read_json(b"[%b]" % b",".join(objects), MAX_DEPTH))  # the list stands for the record


def _are_events(events: Sequence[Event], values: Sequence[bytes]) -> bool:
    """Whether each value is one event, as far as types leave it open: msgspec takes 1.0 for a whole number."""
    read = read_json(b"[%b]" % b",".join(values), MAX_DEPTH + 1)
    return (
        len(read) == len(events)
        and _are_objects(read)
        and _are_objects([fields["payload"] for fields in read])
        and _are_objects([fields.get("metadata", fields) for fields in read])
        and set(map(type, chain.from_iterable(map(_numbers, read)))) == _INT
    )


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


def _have_good_names(events: Sequence[Event], text: bytes, *, is_ascii: bool) -> bool:
    """What the types of an event leave open, of all at once; `text` is what they were read from.

    Where all names are ASCII, the limit of their characters is that of their bytes.
    """
    return (
        all(map(_is_event_type, {event.event_type for event in events}))
        and (b"\\" not in text or b"\\u0000" not in text)
        and (is_ascii or all(map(_has_short_names, events)))
    )


def _is_event_type(event_type: str) -> bool:
    return event_type in _KNOWN_TYPES or _EVENT_TYPE.match(event_type) is not None


def _has_short_names(event: Event) -> bool:
    """Whether all names are within the limit in UTF-8, however many bytes their characters have."""
    return max(map(len, _names(event))) <= MAX_NAME_BYTES // 4


def _any_event(value: bytes) -> Event | Refusal:
    """The certain way, for any encoder of JSON, which says what is wrong."""
    if too_many_values(value, _MOST_VALUES):
        return Refusal(f"more than {MAX_VALUES} values")
    try:
        read = read_json(value)
    except orjson.JSONDecodeError as error:
        return Refusal(f"not one JSON value in UTF-8: {error}")
    except JsonShapeError as error:
        return Refusal(str(error))
    if not isinstance(read, dict):
        return Refusal("not a JSON object")
    fields = cast("dict[str, Any]", read)
    if fields.get("v") != SCHEMA_VERSION or type(fields["v"]) is not int:
        return Refusal(f"schema version is not {SCHEMA_VERSION}")
    try:
        event = decode_event(value)
    except (MsgspecError, UnicodeError, RecursionError) as error:
        return Refusal(_wrong_time(fields) or f"not an event: {error}")
    if reason := _wrong_field(event, fields):
        return Refusal(reason)
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
        if len(text.encode()) > MAX_NAME_BYTES:
            return f"{name} is longer than {MAX_NAME_BYTES} bytes"
        if "\x00" in text:
            return f"{name} holds a NUL"
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

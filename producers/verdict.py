"""The verdict on a Kafka record: is it a valid event, and if not, why. Fold and sink use this same verdict.

It must stand before anything that reads the bytes again: ClickHouse wraps integers, fills in defaults and takes two
objects in one message for two rows without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, cast

import orjson
from msgspec import UNSET, MsgspecError

from axonstream.event_contract import EVENT_TYPE_PATTERN, MAX_DEPTH, MAX_NAME_BYTES, EventType
from producers.event import Event, decode_event, decode_lines, encode_lines
from producers.event_record import SCHEMA_VERSION

MAX_RECORD_BYTES = 2 << 20  # an event of 1 MiB, its metadata and the fields that the server adds

_NAMES = (
    *("tenant_id", "trace_id", "identifier", "event_type", "source"),
    *("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment"),
)
_NUMBERS = ("event_id", "channel_id", "occurred_at", "received_at")
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")
_KNOWN_TYPES = frozenset(kind.value for kind in EventType)
_SHALLOW_BYTES = 2 * (MAX_DEPTH - 1)
_names: Callable[[Event], tuple[str, ...]] = attrgetter(*_NAMES)
_DICT = {dict}
RUN, SHORT_RUN = 256, 32  # as many values are decoded at once: about 100 KB, which stay in the cache


class Record(Protocol):
    """What the verdict reads of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


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
    plain = _plain_events([value])
    event = plain[0] if plain else _any_event(value)
    if isinstance(event, Event) and key != event.trace_id.encode():
        return Refusal("the record's key is not its trace_id")
    return event


class Verdicts(NamedTuple):
    """What the verdict says of each record of a run, in their order; `plain` says that all are plain events."""

    judged: Sequence[Event | Refusal]
    plain: bool


def verdicts(records: Sequence[Record]) -> Verdicts:
    """As `verdict` one by one, in a third of the time where all are plain."""
    judged: list[Event | Refusal] = []
    plain = True
    for start in range(0, len(records), RUN):
        run = records[start : start + RUN]
        events = _plain_run(run)
        if events is None:
            plain = False
            for at in range(0, len(run), SHORT_RUN):  # one that is not plain does not make all others dear
                some = run[at : at + SHORT_RUN]
                judged += _plain_run(some) or [verdict(record.key, record.value) for record in some]
        else:
            judged += events
    return Verdicts(judged, plain)


def _plain_run(run: Sequence[Record]) -> list[Event] | None:
    events = _plain_events([record.value for record in run])
    if events and all(record.key == event.trace_id.encode() for record, event in zip(run, events, strict=True)):
        return events
    return None


def _plain_events(values: Sequence[bytes | None]) -> list[Event] | None:
    """The quick yes: the events of all values, only where `_any_event` refuses none. None says nothing.

    For records of this product's encoder, and others of the same form. All are decoded at once and encoded once more:
    the same bytes come out where no field stands twice, none is escaped but control characters, and there is no space,
    so that each line is one value. Payloads and metadata are read once more in the same way.
    """
    try:
        text = b"\n".join([*values, b""])  # pyright: ignore[reportArgumentType]  a None is a TypeError
        events = decode_lines(text)
        objects = [bytes(event.payload) for event in events]
        objects += [bytes(event.metadata) for event in events if event.metadata is not UNSET]
        array = b"[%b]" % b",".join(objects)
        read = orjson.loads(array)
        if (
            len(events) == len(values)
            and (len(text) <= MAX_RECORD_BYTES or max(map(len, values)) <= MAX_RECORD_BYTES)  # pyright: ignore[reportArgumentType]
            and all(map(_is_event_type, {event.event_type for event in events}))
            and set(map(type, read)) == _DICT
            and orjson.dumps(read) == array
            and (len(array) <= _SHALLOW_BYTES or not any(map(_may_be_deep, objects)))
            and (text.isascii() or all(map(_has_short_names, events)))
            and (b"\\" not in text or b"\\u0000" not in text)
            and encode_lines(events) == text
        ):
            return events
    except (MsgspecError, orjson.JSONDecodeError, UnicodeError, RecursionError, TypeError):
        pass
    return None


def _is_event_type(event_type: str) -> bool:
    return event_type in _KNOWN_TYPES or _EVENT_TYPE.match(event_type) is not None


def _may_be_deep(text: bytes) -> bool:
    """Whether it may go deeper than allowed: each level takes two bytes, and the record itself is the first."""
    return len(text) > _SHALLOW_BYTES and text.count(b"{") + text.count(b"[") >= MAX_DEPTH


def _has_short_names(event: Event) -> bool:
    """Whether all names are within the limit in UTF-8, however many bytes their characters have."""
    return all(len(name) <= MAX_NAME_BYTES // 4 for name in _names(event))


def _any_event(value: bytes) -> Event | Refusal:
    """The slow, certain way, for any encoder of JSON."""
    try:
        read = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Refusal(f"not one JSON value in UTF-8: {error}")
    if not isinstance(read, dict):
        return Refusal("not a JSON object")
    fields = cast("dict[str, Any]", read)
    if fields.get("v") != SCHEMA_VERSION or type(fields["v"]) is not int:
        return Refusal(f"schema version is not {SCHEMA_VERSION}")
    try:
        event = decode_event(value)
    except (MsgspecError, UnicodeError, RecursionError) as error:
        return Refusal(f"not an event: {error}")
    if reason := _wrong_field(event, fields) or _wrong_shape(fields, value):
        return Refusal(reason)
    return event


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
    if not _is_event_type(event.event_type):
        return f"event_type does not match {EVENT_TYPE_PATTERN}"
    for name in ("payload", "metadata"):
        if not isinstance(fields.get(name, {}), dict):
            return f"{name} is not an object"
    return None


def _wrong_shape(fields: dict[str, Any], value: bytes) -> str | None:
    """Depth and repeated keys. Bytes that are the canonical form of what was read have no repeated key."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH and orjson.dumps(fields) == value:
        return None
    return wrong_shape_by_walking(value)


class _RepeatedKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _RepeatedKeyError
    return unique


def wrong_shape_by_walking(value: bytes) -> str | None:
    """The slow, certain way to find a repeated key or a depth of over 100 in a JSON text that is known to be valid."""
    too_deep = f"nested deeper than {MAX_DEPTH}"
    try:
        tree: Any = json.loads(value, object_pairs_hook=_unique, parse_int=_no_number, parse_float=_no_number)
    except _RepeatedKeyError:
        return "a key is repeated"
    except RecursionError:
        return too_deep
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (cast("dict[str, Any]", node).values() if isinstance(node, dict) else cast("list[Any]", node))
        ]
        if not level:
            return None
    return too_deep


def _no_number(_: str) -> None:
    return None

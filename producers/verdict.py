"""The verdict on a Kafka record: is it a valid event, and if not, why. Fold and sink use this same verdict.

It must stand before anything that reads the bytes again: ClickHouse wraps integers, fills in defaults and takes two
objects in one message for two rows without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, cast

import orjson

from axonstream.event_contract import EVENT_TYPE_PATTERN, MAX_DEPTH, MAX_ID, MAX_NAME_BYTES, MAX_TIME_MS, EventType
from producers.event_record import SCHEMA_VERSION

MAX_RECORD_BYTES = 2 << 20  # an event of 1 MiB, its metadata and the fields that the server adds

_REQUIRED_NAMES = ("tenant_id", "trace_id", "identifier", "event_type", "source")
_OPTIONAL_NAMES = ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment")
_NUMBERS = (("event_id", MAX_ID), ("channel_id", MAX_ID), ("occurred_at", MAX_TIME_MS), ("received_at", MAX_TIME_MS))
_FIELDS = frozenset({"v", "payload", "metadata", *_REQUIRED_NAMES, *_OPTIONAL_NAMES, *(name for name, _ in _NUMBERS)})
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")
_KNOWN_TYPES = frozenset(kind.value for kind in EventType)
_NOT_NAMES = ("v", *(name for name, _ in _NUMBERS), "payload")
_not_names: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*_NOT_NAMES)
_REQUIRED = frozenset({*_NOT_NAMES, *_REQUIRED_NAMES})
MOST_LAYOUTS = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is no event, in words for a person."""

    reason: str


def verdict(key: bytes | None, value: bytes | None) -> dict[str, Any] | Refusal:
    """The record's event as a dict of its fields, or the reason why it is none. Pure; never raises.

    Integers of over 64 bits inside of payload and metadata come out as floats here; the bytes keep them.
    """
    if value is None:
        return Refusal("the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        return Refusal(f"the record is larger than {MAX_RECORD_BYTES} bytes")
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Refusal(f"not one JSON value in UTF-8: {error}")
    if not isinstance(event, dict):
        return Refusal("not a JSON object")
    fields = cast("dict[str, Any]", event)
    if not _is_plain(fields, value) and (reason := _wrong_field(fields) or _wrong_shape(fields, value)):
        return Refusal(reason)
    if key != fields["trace_id"].encode():
        return Refusal("the record's key is not its trace_id")
    return fields


class _Layout(NamedTuple):
    """What an object of certain fields, in a certain order, has in common with all others of them."""

    names: Callable[[dict[str, Any]], tuple[Any, ...]]
    key_bytes: int  # that the keys take in the JSON, with quotes and colon


_layouts: dict[tuple[str, ...], _Layout] = {}


def _layout(fields: dict[str, Any]) -> _Layout | None:
    """The layout of these fields; None when they are not those of an event. Senders have few, so they are kept."""
    keys = tuple(fields)
    layout = _layouts.get(keys)
    if layout is not None:
        return layout
    if _REQUIRED.issubset(keys) and _FIELDS.issuperset(keys):
        names = (name for name in keys if name in _REQUIRED_NAMES or name in _OPTIONAL_NAMES)
        layout = _Layout(itemgetter(*names), sum(len(name) + 3 for name in keys))
        if len(_layouts) < MOST_LAYOUTS:
            _layouts[keys] = layout
    return layout


def _is_plain(fields: dict[str, Any], value: bytes) -> bool:
    """The quick yes: True only where `_wrong_field` and `_wrong_shape` find nothing. False says nothing."""
    layout = _layout(fields)
    if layout is None:
        return False
    names = layout.names(fields)
    try:
        text = "".join(names)
    except TypeError:
        return False
    version, event_id, channel_id, occurred_at, received_at, payload = _not_names(fields)
    return (
        len(text) <= (MAX_NAME_BYTES if text.isascii() else MAX_NAME_BYTES // 4)
        and "\x00" not in text
        and "" not in names
        and type(version) is type(event_id) is type(channel_id) is type(occurred_at) is type(received_at) is int
        and version == SCHEMA_VERSION
        and 0 <= event_id <= MAX_ID
        and 0 <= channel_id <= MAX_ID
        and 0 <= occurred_at <= MAX_TIME_MS
        and 0 <= received_at <= MAX_TIME_MS
        and type(payload) is dict
        and type(fields.get("metadata", payload)) is dict
        and (fields["event_type"] in _KNOWN_TYPES or _EVENT_TYPE.match(fields["event_type"]) is not None)
        # each level takes two bytes, and keys and names take bytes that are none of these
        and (
            len(value) - layout.key_bytes - len(text) <= 2 * MAX_DEPTH
            or value.count(b"{") + value.count(b"[") <= MAX_DEPTH
        )
        and orjson.dumps(fields) == value
    )


def _wrong_field(fields: dict[str, Any]) -> str | None:
    if fields.get("v") != SCHEMA_VERSION or type(fields["v"]) is not int:
        return f"schema version is not {SCHEMA_VERSION}"
    if not _FIELDS.issuperset(fields):
        return f"unknown field {min(fields.keys() - _FIELDS)!r}"
    for name in _REQUIRED_NAMES:
        if reason := _wrong_name(name, fields.get(name)):
            return reason
        if not fields[name]:
            return f"{name} is empty"
    for name in _OPTIONAL_NAMES:
        if name in fields and (reason := _wrong_name(name, fields[name])):
            return reason
    for name, most in _NUMBERS:
        number = fields.get(name)
        if type(number) is not int or not 0 <= number <= most:
            return f"{name} is not a whole number from 0 to {most}"
    if not _EVENT_TYPE.match(fields["event_type"]):
        return f"event_type does not match {EVENT_TYPE_PATTERN}"
    if not isinstance(fields.get("payload"), dict):
        return "payload is not an object"
    if not isinstance(fields.get("metadata", {}), dict):
        return "metadata is not an object"
    return None


def _wrong_name(name: str, text: object) -> str | None:
    if not isinstance(text, str):
        return f"{name} is not a string"
    if len(text) > MAX_NAME_BYTES // 4 and len(text.encode()) > MAX_NAME_BYTES:
        return f"{name} is longer than {MAX_NAME_BYTES} bytes"
    if "\x00" in text:
        return f"{name} holds a NUL"
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

"""The verdict on a Kafka record: is it a valid event, and if not, why. Fold and sink use this same verdict.

It must stand before anything that reads the bytes again: ClickHouse wraps integers, fills in defaults and takes two
objects in one message for two rows without a word.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

import orjson

from axonstream.event_contract import EVENT_TYPE_PATTERN, MAX_DEPTH, MAX_ID, MAX_NAME_BYTES, MAX_TIME_MS
from producers.event_record import SCHEMA_VERSION

MAX_RECORD_BYTES = 2 << 20  # an event of 1 MiB, its metadata and the fields that the server adds

_REQUIRED_NAMES = ("tenant_id", "trace_id", "identifier", "event_type", "source")
_OPTIONAL_NAMES = ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment")
_NUMBERS = (("event_id", MAX_ID), ("channel_id", MAX_ID), ("occurred_at", MAX_TIME_MS), ("received_at", MAX_TIME_MS))
_FIELDS = frozenset({"v", "payload", "metadata", *_REQUIRED_NAMES, *_OPTIONAL_NAMES, *(name for name, _ in _NUMBERS)})
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")


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
    reason = _wrong_field(fields) or _wrong_shape(fields, value)
    if reason:
        return Refusal(reason)
    if key != fields["trace_id"].encode():
        return Refusal("the record's key is not its trace_id")
    return fields


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

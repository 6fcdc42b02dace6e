"""Any Python value as JSON: what a program hands over to be traced is written, never a reason for it to fail.

| value | JSON |
|---|---|
| None, bool, str, finite float, int within the range of a double | itself |
| an Enum's member, a subclass of str, int or float | its value |
| UUID, Decimal, path, date, time, datetime, timedelta, IP address, UTF-8 bytes | text |
| mapping, dataclass, pydantic model | object; keys that are not text are written as JSON writes them |
| list, tuple, set (sorted where it can be), deque, views of a dict | array |
| anything else: exception, function, NaN, a container within itself, a larger int | `{"$repr": "ValueError('x')"}` |

Half of a surrogate pair becomes U+FFFD. Nothing of the value is consumed or changed: a generator is only named. What
its own code raises while it is looked at (`items()`, a serializer, `__repr__`) is the same as "anything else".
"""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from pathlib import PurePath
from reprlib import Repr
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from axonstream.errors import ValidationError
from axonstream.event_contract import MAX_DEPTH

MARK = "$repr"

_BITS_OF_A_DOUBLE = 1023  # a reader of JSON may take every number for a double
_DEEPEST = 2 * MAX_DEPTH  # whoever takes the event says what is over MAX_DEPTH; this bounds the recursion here
_AS_TEXT = (UUID, Decimal, PurePath, date, time, timedelta, IPv4Address, IPv6Address)
_ARRAYS = (list, tuple, deque, KeysView, ValuesView, ItemsView)

_short = Repr()
_short.maxlevel, _short.maxdict, _short.maxlist, _short.maxtuple, _short.maxset = 3, 10, 10, 10, 10
_short.maxother = _short.maxstring = 1000


def json_value(value: Any) -> Any:
    """The value in dicts, lists, text, numbers, booleans and None alone.

    Raises ValidationError where it is nested so deep that no event can hold it.
    """
    return _Writer().of(value, 0)


def whole_text(text: str) -> str:
    """`text` as UTF-8 can hold it: two halves of a surrogate pair become their character, a single half U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def marked(value: Any) -> dict[str, str]:
    """The repr of what is not JSON, marked as such; at most about 1,000 characters of it."""
    try:
        text = _short.repr(value)
    except Exception:  # noqa: BLE001  a foreign __repr__ may raise anything
        text = f"<{type(value).__module__}.{type(value).__qualname__} at {id(value):#x}>"
    return {MARK: whole_text(text)}


class _Writer:
    """One walk over one value; `_open` are the containers that it is in."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return whole_text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value.bit_length() <= _BITS_OF_A_DOUBLE else marked(value)
        if kind is float:
            return value if isfinite(value) else marked(value)
        if id(value) in self._open:
            return marked(value)
        try:
            return self._of_other(value, depth)
        except ValidationError:
            raise
        except Exception:  # noqa: BLE001  foreign code may raise anything, and tracing must not break its program
            return marked(value)

    def _of_other(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.of(value.value, depth)
        if isinstance(value, str | int | float):
            return self.of(_without_subclass(value), depth)
        if isinstance(value, _AS_TEXT):
            return _text_of(value)
        if isinstance(value, bytes | bytearray):
            return value.decode()
        if depth >= _DEEPEST:
            raise ValidationError(
                f"the value is nested deeper than {MAX_DEPTH}", hint="Leave out what is so deep, or write it as text."
            )
        self._open.add(id(value))
        try:
            return self._of_container(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _of_container(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._object(cast("Mapping[Any, Any]", value), depth)
        if isinstance(value, BaseModel):
            return self._object(value.model_dump(by_alias=True), depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self._object({field.name: getattr(value, field.name) for field in fields(value)}, depth)
        if isinstance(value, _ARRAYS):
            return [self.of(one, depth) for one in list(cast("Sequence[Any]", value))]
        if isinstance(value, AbstractSet):
            return [self.of(one, depth) for one in _in_order(cast("AbstractSet[Any]", value))]
        return marked(value)

    def _object(self, members: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for key, value in list(members.items()):
            name = shown = _name_of(key)
            again = 1
            while name in written:  # 1 and "1": both are kept
                again += 1
                name = f"{shown} ({again})"
            written[name] = self.of(value, depth)
        return written


def _name_of(key: Any) -> str:
    if type(key) is str:
        return whole_text(key)
    if isinstance(key, Enum):
        return _name_of(key.value)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, str | int | float):
        plain = _without_subclass(key)
        return whole_text(plain) if isinstance(plain, str) else marked(plain)[MARK]
    return _text_of(key) if isinstance(key, _AS_TEXT) else marked(key)[MARK]


def _without_subclass(value: str | float) -> str | int | float:
    """Of the built-in type itself, past what the subclass makes of str() and int()."""
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _text_of(value: Any) -> str:
    return whole_text(str(to_jsonable_python(value) if isinstance(value, date | time | timedelta) else value))


def _in_order(values: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)

"""JSON as it goes over the wire: 2**70, 1.0, 2**53 + 1, null and any text come back as they were.

orjson reads integers of over 64 bits as floats, so pydantic's reader is used.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from pydantic_core import from_json

from axonstream.json_values import json_value

_NOTHING_BUT_JSON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

_strict = json.JSONEncoder(allow_nan=False)


def encode(value: Any) -> bytes:
    """Compact JSON of any value, by `axonstream.json_values` where it is not JSON; the same for every publisher.

    Raises ValidationError for what is nested too deep, nothing else.
    """
    try:
        text = orjson.dumps(value, option=_NOTHING_BUT_JSON)
    except TypeError:
        return _encoded(json_value(value))
    return _encoded(json_value(value)) if b"null" in text and _holds_more_than_json(value) else text


def decode(text: bytes) -> Any:
    """The value of a JSON text; ValueError if it is none."""
    return from_json(text)


def _holds_more_than_json(value: Any) -> bool:
    """Whether one of the nulls that orjson wrote is a NaN or an infinity."""
    try:
        _strict.encode(value)
    except (ValueError, TypeError):
        return True
    return False


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer of over 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

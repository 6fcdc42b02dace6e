"""JSON as it goes over the wire: 2**70, 1.0, 2**53 + 1, null and any text come back as they were.

orjson refuses integers of over 64 bits and reads them as floats, so pydantic's own reader and writer are used.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from axonstream.errors import ValidationError


def encode(value: Any) -> bytes:
    """Compact JSON. NaN and infinity become null, as JSON has neither; what is no JSON is a ValidationError."""
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError as error:
        raise ValidationError(
            f"the event cannot be written as JSON: {error}",
            hint="Use dicts, lists, strings in valid Unicode, numbers, booleans and None.",
        ) from error


def decode(text: bytes) -> Any:
    """The value of a JSON text; ValueError if it is none."""
    return from_json(text)

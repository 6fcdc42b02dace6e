"""How single values look on the wire: ids by the client's generation, times as ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gateway.control.credentials import Generation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_OF_JSON_INTEGER = 18


@lru_cache(maxsize=1024)  # the events of a millisecond have the same one
def iso_time(ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"


def wire_id(number: int, generation: Generation) -> int | str:
    """An id of ours: a JSON integer for early clients, a string for recent ones."""
    return number if generation is Generation.EARLY else str(number)


def opaque_id(text: str, generation: Generation) -> int | str | None:
    """An id that the sender chose: a JSON integer for early clients where it is one, else as it is; None when empty."""
    if not text:
        return None
    if generation is Generation.EARLY and len(text) <= _DIGITS_OF_JSON_INTEGER and text.isascii() and text.isdecimal():
        number = int(text)
        return number if str(number) == text else text
    return text

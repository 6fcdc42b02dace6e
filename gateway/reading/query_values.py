"""Values of a query or a path: whole numbers, ids and times, or words that say what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from axonstream.event_contract import MAX_ID, MAX_TIME_MS, unit_instead_of_ms
from axonstream.gateway.http.errors import RefusedError
from axonstream.unix_ms import ms_of

MAX_LIMIT = 1000
_MOST_DIGITS = 15  # page times limit stays below what ClickHouse takes as an offset
_DIGITS_OF_NS = 19


def positive(query: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """A whole number from `least` on. Raises RefusedError 400."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) >= least):
        message = f"{name} must be a whole number from {least}, not {text[:32]!r}"
        raise RefusedError(400, message, f"Set {name} to {least} or more.")
    return int(text)


def entity_id(text: str) -> int | None:
    """The id of an app or a channel; None for what can be none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID))):
        return None
    return int(text) if int(text) <= MAX_ID else None


def time_ms(query: Mapping[str, str], name: str) -> int | None:
    """ISO 8601 with a zone, or whole ms since 1970, as ms; None when it is not given. Raises RefusedError 400."""
    text = query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_OF_NS:
        if found := unit_instead_of_ms(int(text)):
            unit, remedy = found
            message = f"{name} must be whole milliseconds since 1970, and {text} looks like {unit}"
            raise RefusedError(
                400, message, f"{remedy[0].upper()}{remedy[1:]}, or give {name} as ISO 8601 with a zone."
            )
        return min(int(text), MAX_TIME_MS)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return min(max(0, ms_of(at)), MAX_TIME_MS)
    except (ValueError, OverflowError):
        pass
    message = f"{name} must be ISO 8601 with a zone, as 2026-01-31T12:00:00Z, or whole milliseconds since 1970"
    raise RefusedError(400, message, f"Correct {name}, or leave it out.")

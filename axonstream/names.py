"""What a name in an event may be: trace, agent, identifier and the like."""

from __future__ import annotations

from enum import Enum, auto

MAX_NAME_BYTES = 256
_BYTES_OF_A_CHARACTER = 4  # at most


class NameFault(Enum):
    """Why a text is no name."""

    EMPTY = auto()
    LONG = auto()  # more than MAX_NAME_BYTES bytes of UTF-8
    NUL = auto()  # holds the character that separates names where they are stored


def name_fault(text: str) -> NameFault | None:
    """None for a text of 1 to MAX_NAME_BYTES bytes without NUL. Half of a surrogate pair counts as three bytes."""
    if 0 < len(text) <= MAX_NAME_BYTES // _BYTES_OF_A_CHARACTER and "\x00" not in text:
        return None  # the usual one, without encoding it
    if not text:
        return NameFault.EMPTY
    if len(text.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return NameFault.LONG
    return NameFault.NUL if "\x00" in text else None

"""Where a valid JSON value ends, found in C: msgspec passes over it, makes nothing of it, and says what follows.

It says so in the message of an error, which the last lines of this module hold to the version that is locked.
"""

from __future__ import annotations

import re

from msgspec import MsgspecError, Raw
from msgspec.json import Decoder

_MORE_FOLLOWS = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_MALFORMED_AT = re.compile(r"\(byte (\d+)\)")
_pass_over = Decoder(Raw).decode


def whole_value(text: memoryview) -> int | None:
    """The end of the valid value that `text` begins with, or of the space after it; None when there is none."""
    end, is_whole = passed_over(text)
    return end if is_whole else None


def passed_over(text: memoryview) -> tuple[int, bool]:
    """How many bytes were looked at, and whether these are a valid value and the space after it."""
    try:
        _pass_over(text)
    except MsgspecError as error:
        message = str(error)
        if follows := _MORE_FOLLOWS.fullmatch(message):
            return int(follows[1]) - 1, True
        malformed = _MALFORMED_AT.search(message)
        return (int(malformed[1]) if malformed else len(text)), False
    except RecursionError:
        return len(text), False
    return len(text), True


def is_cut_off(text: memoryview) -> bool:
    """Whether `text` is the beginning of a value."""
    try:
        _pass_over(text)
    except MsgspecError as error:
        return "truncated" in str(error)
    except RecursionError:
        pass
    return False


if whole_value(memoryview(b'{"a":[1]} ,2')) != 10:
    raise ImportError("msgspec does not say where a value ends: install the version of the lock file")

"""A bulk body, cut into its events one by one: nothing of it is parsed, and nothing is read beyond the first excess.

msgspec passes over one JSON value in C, makes nothing of it, and says where the text goes on. It says so in the message
of an error, which a test and this module's first lines hold to the version that is locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import MsgspecError, Raw
from msgspec.json import Decoder

from axonstream.event_contract import MAX_EVENT_BYTES
from gateway.publishing.sender_bytes import BodyError

_LONGEST_ELEMENT = 4 * MAX_EVENT_BYTES  # passed over in 20 ms at the most; of a longer one the end is not looked for
_MOST_SPACE = 4 << 20  # between two events: passed over in 10 ms
_SPACE = re.compile(rb"[ \t\r\n]*")
_MORE_FOLLOWS = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_pass_over = Decoder(Raw).decode


class TooLargeError(ValueError):
    """An excess that ends the reading: the rest of the body is not looked at. The message says which."""


def split_events(body: bytes, most: int) -> Iterator[bytes]:
    """The bytes of each event of a JSON array, or of each line of NDJSON that is not blank.

    Raises BodyError where an array is malformed between or within its elements; a malformed line is left for
    `read_event` to refuse. Raises TooLargeError at the event after `most`, at an element of an array of over 4 MiB, and
    at as much white space beside an event.
    """
    start = _after_space(body, 0)
    events = _elements(body, start + 1) if body[start : start + 1] == b"[" else _lines(body)
    for count, event in enumerate(events):
        if count == most:
            raise TooLargeError(f"more than {most} events in one request")
        yield event


def _lines(body: bytes) -> Iterator[bytes]:
    start = _after_space(body, 0)  # blank lines, too: one by one, they would hold the loop for seconds
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end]
        start = _after_space(body, end)


def _elements(body: bytes, start: int) -> Iterator[bytes]:
    view = memoryview(body)
    at = _after_space(body, start)
    if body[at : at + 1] == b"]":
        _end(body, at + 1)
        return
    while True:
        end = _end_of_value(view[at : at + _LONGEST_ELEMENT], is_last=at + _LONGEST_ELEMENT >= len(body)) + at
        yield body[at:end].rstrip(b" \t\r\n")
        separator, at = body[end : end + 1], end + 1
        if separator == b"]":
            _end(body, at)
            return
        if separator != b",":
            raise BodyError(f"not valid JSON: a comma or ] must follow the event that ends at byte {end}")
        at = _after_space(body, at)


def _end(body: bytes, at: int) -> None:
    at = _after_space(body, at)
    if at < len(body):
        raise BodyError(f"not valid JSON: text follows the array, at byte {at}")


def _end_of_value(text: memoryview, *, is_last: bool) -> int:
    """Where the value at the beginning of `text` ends, or the next character after it that is no space."""
    try:
        _pass_over(text)
    except MsgspecError as error:
        if follows := _MORE_FOLLOWS.fullmatch(str(error)):
            return int(follows[1]) - 1
        if not is_last and "truncated" in str(error):
            raise TooLargeError(f"an event is larger than {_LONGEST_ELEMENT} bytes") from None
        raise BodyError(f"not valid JSON: {error}") from None
    except RecursionError:
        raise BodyError("not valid JSON: nested too deep to be read") from None
    raise BodyError("not valid JSON: the array does not end")


def _after_space(body: bytes, at: int) -> int:
    space = _SPACE.match(body, at, at + _MOST_SPACE)
    end = space.end() if space else at
    if end == at + _MOST_SPACE:
        raise TooLargeError(f"more than {_MOST_SPACE - 1} bytes of white space beside one event")
    return end


if _end_of_value(memoryview(b'{"a":[1]} ,2'), is_last=True) != 10:
    raise ImportError("msgspec does not say where a value ends: install the version of the lock file")

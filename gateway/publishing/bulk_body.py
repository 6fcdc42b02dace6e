"""A bulk body, cut into its events one by one: nothing of it is parsed, and nothing is read beyond the first excess.

A valid value is passed over in C (`whole_value`). Where one is malformed (NaN, a comma before a bracket, a bracket too
few), `value_end` finds its end: it is refused by itself, and the events around it are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from axonstream.event_contract import MAX_EVENT_BYTES
from axonstream.gateway.publishing.sender_bytes import BOM, BodyError
from axonstream.gateway.publishing.value_end import LostError, TooFarError, ValueEnds, is_event
from axonstream.gateway.publishing.whole_value import is_cut_off, whole_value

_LONGEST_ELEMENT = 4 * MAX_EVENT_BYTES  # passed over in 20 ms at the most; a longer one goes to `value_end`
_COPIED = 256  # steps for as many bytes as an event may have
_MOST_SPACE = 4 << 20  # between two events: passed over in 10 ms
_SPACE = re.compile(rb"[ \t\r\n]*")


class TooLargeError(ValueError):
    """An excess that ends the reading: the rest of the body is not looked at. The message says which."""


def split_events(body: bytes, most: int) -> Iterator[bytes | None]:
    """The bytes of each event of a JSON array, or of each line of NDJSON that is not blank.

    None says that the end of a malformed event is still looked for: others may have their turn. A malformed event is
    left for `read_event` to refuse. A byte order mark before the first event is passed over.

    Raises BodyError where the events of an array cannot be told apart, and for a JSON value over several lines that is
    no array. Raises TooLargeError at the event after `most`, at as much white space beside an event, and where looking
    for the ends of malformed events takes too long.
    """
    start = _after_space(body, len(BOM) if body.startswith(BOM) else 0)
    events = _elements(body, start + 1) if body[start : start + 1] == b"[" else _lines(body, start)
    count = 0
    try:
        for event in events:
            if event is not None:
                if count == most:
                    raise TooLargeError(f"more than {most} events in one request")
                count += 1
            yield event
    except TooFarError:
        raise TooLargeError(f"event {count} is larger than can be read, or too much is malformed") from None


def _lines(body: bytes, start: int) -> Iterator[bytes]:
    _not_over_several_lines(body, start)
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end]
        start = _after_space(body, end)  # blank lines, too: one by one, they would hold the loop for seconds


def _not_over_several_lines(body: bytes, start: int) -> None:
    """An object around the list, or an indented one, is no NDJSON: lines of it that look like events are not sent."""
    line_end = body.find(b"\n", start)
    if line_end < 0 or whole_value(memoryview(body)[start : min(line_end, start + _LONGEST_ELEMENT)]) is not None:
        return
    text = memoryview(body)[start : start + _LONGEST_ELEMENT]
    if whole_value(text) is not None or (len(text) == _LONGEST_ELEMENT and is_cut_off(text)):
        raise BodyError("the body is one JSON value over several lines, neither an array nor one event a line")


def _elements(body: bytes, start: int) -> Iterator[bytes | None]:
    view, ends = memoryview(body), ValueEnds(body)
    at = _after_space(body, start)
    if _ends_the_array(body, at):
        return
    count = 0
    while True:
        length = whole_value(view[at : at + _LONGEST_ELEMENT])
        is_whole = length is not None and at + length < min(len(body), at + _LONGEST_ELEMENT)
        end = at + (length or 0)
        following = 0
        if is_whole and body[end : end + 1] == b",":
            following = _after_space(body, end + 1)
            is_element = body[following : following + 1] != b'"' or not _is_member(view, following, ends)
        else:
            is_element = is_whole and _ends_the_array(body, end)
        if not is_element:
            following = 0
            try:
                for found in ends.after(at, is_lost=is_whole):
                    if found is None:
                        yield None
                    else:
                        end = found
            except LostError as error:
                raise BodyError(f"not valid JSON: event {count} {error}") from None
        yield body[at:end].rstrip(b" \t\r\n")
        count += 1
        if body[end : end + 1] == b"]":
            return
        at = following or _after_space(body, end + 1)


def _is_member(view: memoryview, at: int, ends: ValueEnds) -> bool:
    """Whether a name and a colon stand where an element should: the one before was closed too early.

    Not where a bracket before them makes an event of what follows: then that one lacks it.
    """
    length = whole_value(view[at : at + _LONGEST_ELEMENT])
    if length is None or bytes(view[at + length : at + length + 1]) != b":":
        return False
    ends.spend(_COPIED)
    opened = b"{" + view[at : at + MAX_EVENT_BYTES]
    end = whole_value(memoryview(opened))
    return end is None or not is_event(opened[:end])


def _ends_the_array(body: bytes, at: int) -> bool:
    return body[at : at + 1] == b"]" and _after_space(body, at + 1) == len(body)


def _after_space(body: bytes, at: int) -> int:
    space = _SPACE.match(body, at, at + _MOST_SPACE)
    end = space.end() if space else at
    if end == at + _MOST_SPACE:
        raise TooLargeError(f"more than {_MOST_SPACE - 1} bytes of white space beside one event")
    return end

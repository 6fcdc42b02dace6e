"""Where a malformed element of an array ends, so that what stands beside it can be read.

Quotes and brackets tell, as far as they match. What does not match is taken so:

1. a quote opens no string when that would end before anything but `,` `:` `]` `}`;
2. a closing bracket closes the innermost bracket of its kind, and those within it; where none is open, it says nothing.

From the first such place on, and within an object, where a `,` cannot be followed by `{`, the element ends at the first
comma that an event follows: an object that is valid JSON and has the members which every event must have. The valid
values that follow it may not lead to a `]` that does not end the array: then they are of a list. What stands in a list
that was opened in the element belongs to it, unless that list has no end in the whole body and does not begin with an
event: then the first event in it is the next element.

So one bracket or quote that is missing, or too much, costs its own event alone, whatever that event holds. An event
that lacks two closing brackets, of a list and of the object around it, cannot be told apart from a list of events.

Each quote, bracket and comma on the way is a step in Python, and so are the bytes between them, so steps are counted:
a body has MOST_STEPS of them, and others have their turn in between.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder

from axonstream.event_contract import MAX_EVENT_BYTES
from axonstream.gateway.publishing.whole_value import passed_over

MOST_STEPS = 400_000  # of one body: half a second; an event of MAX_VALUES values has 250,000
_STEPS_OF_A_TURN = 1000  # 1 ms
_PIECE = 64 << 10  # bytes between two steps: 1 ms
_BYTES_OF_A_STEP = 4096  # that msgspec passes over
_SEARCHED_BYTES_OF_A_STEP = 96  # that are searched for stops
_ESCAPES_OF_A_STEP = 16
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_STOPS = re.compile(rb'["\[\]{},]')
_SPACE = b" \t\r\n"
_LONGEST_SPACE = 64  # of malformed JSON: after more, anything may follow
_CLOSES = {ord("["): ord("]"), ord("{"): ord("}")}
_QUOTE, _COMMA, _LIST, _LIST_END, _OBJECT = b'",[]{'
_AFTER_STRING = frozenset(b",:]}")


class _Event(Struct, gc=False):
    """What every event must have."""

    identifier: Raw
    payload: Raw
    channel_id: Raw


_event = Decoder(_Event).decode


class LostError(ValueError):
    """The array has no end: what follows cannot be told apart from the malformed element."""


class TooFarError(ValueError):
    """The steps of this body are used up."""


@dataclass(slots=True)
class _Open:
    """The brackets that are open in an element: their closing ones, and of lists whether they begin with an event."""

    closing: bytearray = field(default_factory=bytearray)
    begins_with_event: list[bool] = field(default_factory=list[bool])
    is_lost: bool = False  # something did not match

    def push(self, mark: int) -> None:
        self.closing.append(_CLOSES[mark])
        self.begins_with_event.append(False)

    def close(self, mark: int) -> None:
        place = self.closing.rfind(mark)
        self.is_lost = self.is_lost or place != len(self.closing) - 1 or not self.closing
        if place >= 0:
            del self.closing[place:], self.begins_with_event[place:]

    @property
    def in_list(self) -> bool:
        return bool(self.closing) and self.closing[-1] == _LIST_END

    @property
    def in_list_of_events(self) -> bool:
        """Within an object: a list around the whole element is none that an event has."""
        return len(self.closing) > 1 and self.begins_with_event[-1]


class ValueEnds:
    """Looks for ends in one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._view = memoryview(body)
        self._steps = 0
        self._array_end: int | None = None  # of the last bracket, when the body ends with it; -1 when it does not

    def after(self, at: int, *, is_lost: bool = False) -> Iterator[int | None]:
        """None for each turn that others may have, and then where the element of an array that begins at `at` ends.

        That is the comma or bracket which follows it. `is_lost`: what looked like its end is none.
        Raises LostError and TooFarError.
        """
        body, begins, open_ = self._body, at, _Open(is_lost=is_lost)
        before = 0  # the mark before this one
        later, depth = -1, 0  # the comma before an event in a list that may have no end, and how deep that list is
        turn = self._steps // _STEPS_OF_A_TURN
        while (place := _next_stop(body, at)) >= 0:
            self.spend(1 + (place - at) // _SEARCHED_BYTES_OF_A_STEP)
            if place == at + _PIECE:
                at = place
                yield None
                continue
            if self._steps // _STEPS_OF_A_TURN > turn:
                turn = self._steps // _STEPS_OF_A_TURN
                yield None
            mark, is_next = body[place], not body[at:place].strip(_SPACE)
            comma, at = at - 1, place + 1
            if mark == _QUOTE:
                end = yield from self._string_end(at)
                open_.is_lost = open_.is_lost or end < 0
                at = max(at, end)
            elif mark in _CLOSES:
                follows = before if is_next and mark == _OBJECT else 0
                if follows == _COMMA or (follows == _LIST and open_.in_list):
                    end, found_event = self._object(place)
                    is_inside = open_.in_list and (later >= 0 or open_.in_list_of_events)
                    if found_event and follows == _COMMA and not is_inside:
                        row_end, may_stand = self._row(end, begins + MAX_EVENT_BYTES)
                        if not may_stand:
                            end = row_end
                        elif not open_.in_list:
                            yield comma
                            return
                        else:
                            later, depth = comma, len(open_.closing)
                            if row_end == self._end():
                                break  # the list has no end
                    if end >= 0:
                        if follows == _LIST:
                            open_.begins_with_event[-1] = found_event
                        at = end
                        before = 0
                        continue
                open_.push(mark)
            elif mark == _COMMA:
                if not open_.closing and not open_.is_lost:
                    yield place
                    return
            elif not open_.closing and place == self._end():
                yield place
                return
            else:
                open_.close(mark)
                if len(open_.closing) < depth and place != self._end():
                    later, depth = -1, 0  # that list has an end
            before = mark
        if later < 0:
            later = self._end()
        if later < 0:
            raise LostError("has no end, and so has the array")
        yield later

    def spend(self, steps: int) -> None:
        """So many more steps are taken. Raises TooFarError when they are used up."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise TooFarError

    def _end(self) -> int:
        if self._array_end is None:
            last, piece = len(self._body), b""
            while last and not (piece := self._body[max(0, last - _PIECE) : last].rstrip(_SPACE)):
                last = max(0, last - _PIECE)
            last += len(piece) - min(last, _PIECE) - 1 if last else -1
            self._array_end = last if self._body[last : last + 1] == b"]" else -1
        return self._array_end

    def _string_end(self, at: int) -> Generator[None, None, int]:
        """Behind the quote that closes the string whose first character is at `at`; -1 when none does."""
        body = self._body
        while at < len(body):
            begins, ends = at, min(len(body), at + _PIECE)
            at = _IN_STRING.match(body, at, ends).end()  # pyright: ignore[reportOptionalMemberAccess]  it takes nothing, too
            escapes = body.count(b"\\", begins, at) // _ESCAPES_OF_A_STEP
            self.spend(1 + escapes + (at - begins) // _SEARCHED_BYTES_OF_A_STEP)
            if at < ends and body[at] == _QUOTE:
                after = body[at + 1 : at + 1 + _LONGEST_SPACE].lstrip(_SPACE)
                return at + 1 if not after or after[0] in _AFTER_STRING else -1
            if at == begins:
                break  # a backslash ends the body
            yield None
        return -1

    def _object(self, at: int) -> tuple[int, bool]:
        """Where the valid object that begins at `at` ends, or -1; and whether it has what every event must have."""
        end = self._value(at)
        if end < 0:
            return -1, False
        return end, is_event(self._view[at:end])

    def _value(self, at: int) -> int:
        looked_at, is_whole = passed_over(self._view[at : at + MAX_EVENT_BYTES])
        self.spend(1 + looked_at // _BYTES_OF_A_STEP)
        return at + looked_at if is_whole else -1

    def _row(self, end: int, most: int) -> tuple[int, bool]:
        """The end of the values that follow the one that ends at `end`, each after a comma, up to `most`; and whether
        they may be elements: those of a list within one end before a bracket that does not end the array."""
        while self._body[end : end + 1] == b"," and end < most:
            if (following := self._value(end + 1)) < 0:
                return end, True
            end = following
        return end, self._body[end : end + 1] != b"]" or end == self._end()


def is_event(value: bytes | memoryview) -> bool:
    """Whether a valid object has the members that every event must have."""
    try:
        _event(value)
    except MsgspecError:
        return False
    return True


def _next_stop(body: bytes, at: int) -> int:
    """The next quote, bracket or comma, or the end of this piece; -1 when there is none."""
    if found := _STOPS.search(body, at, at + _PIECE):
        return found.start()
    return at + _PIECE if at + _PIECE < len(body) else -1

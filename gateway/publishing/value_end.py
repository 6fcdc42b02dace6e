"""Where a malformed JSON value ends: by its quotes and brackets alone, so that what stands beside it can be read.

Each quote, bracket and comma on the way is a step in Python, so steps are counted: a body has MOST_STEPS of them, and
others have their turn in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_STEPS = 400_000  # of one body: half a second; an event of MAX_VALUES values has 250,000
_STEPS_OF_A_TURN = 1000  # 1 ms
_PIECE = 64 << 10  # bytes between two steps: 1 ms
_STOPS = re.compile(rb'["\[\]{},]')
_CLOSES = {ord("["): ord("]"), ord("{"): ord("}")}
_QUOTE, _COMMA, _LIST_END = b'",]'


class LostError(ValueError):
    """The value has no end, or brackets that do not match: what follows it cannot be told apart from it."""


class TooFarError(ValueError):
    """The steps of this body are used up."""


class ValueEnds:
    """Looks for ends in one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._steps = 0

    def after(self, at: int) -> Iterator[int | None]:
        """None for each turn that others may have, and then where the element of an array that begins at `at` ends.

        That is the comma or bracket which follows it. Raises LostError and TooFarError.
        """
        body, open_, in_string = self._body, bytearray(), False
        while (place := body.find(b'"', at) if in_string else _next_stop(body, at)) >= 0:
            if place == at + _PIECE and not in_string:
                at = place
                yield None
                continue
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise TooFarError
            if self._steps % _STEPS_OF_A_TURN == 0:
                yield None
            mark = body[place]
            if in_string:
                before = body[at:place]
                in_string = (len(before) - len(before.rstrip(b"\\"))) % 2 == 1  # an escaped quote
            elif mark == _QUOTE:
                in_string = True
            elif mark in _CLOSES:
                open_.append(_CLOSES[mark])
            elif not open_ and mark in (_COMMA, _LIST_END):
                yield place
                return
            elif mark != _COMMA and (not open_ or open_.pop() != mark):
                raise LostError(f"is malformed: the bracket at byte {place} does not match")
            at = place + 1
        raise LostError("is malformed: a string does not end" if in_string else "has no end, and so has the array")


def _next_stop(body: bytes, at: int) -> int:
    """The next quote, bracket or comma, or the end of this piece; -1 when there is none."""
    if found := _STOPS.search(body, at, at + _PIECE):
        return found.start()
    return at + _PIECE if at + _PIECE < len(body) else -1

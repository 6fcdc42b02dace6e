"""Rows that ClickHouse refuses one after the other: is each of them at fault, or the table? Pure.

A bad migration, a constraint, or a materialized view that fails refuses good events, too. So the dead letters of
refused rows are held back until a row is taken, and when none is, a person must decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import TypeVar

from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.errors import TableRefusesError

T = TypeVar("T")

SAMPLE = 16  # rows from all over what is left; one that is taken clears the table


class Suspect(Enum):
    """What is held to be at fault when a row is refused."""

    ROWS = auto()  # each row that is refused
    TABLE = auto()  # the table, unless it takes one row of a sample


class Refusals:
    """Single rows that were refused since an INSERT was last acknowledged.

    ROWS ---- `most` refusals in a row: a sample of what is left is tried ----> TABLE
     ^                                                                            |
     +------------------------ a row is taken ------------------------------------+
                                                                                  |
                                no row of the sample is taken: TableRefusesError <+
    """

    def __init__(self, most: int) -> None:
        self._most = self._allowed = most
        self._suspect = Suspect.ROWS
        self._in_a_row = 0
        self._reason = ""
        self._held: list[DeadLetter] = []

    def taken(self) -> None:
        """An INSERT was acknowledged: those before it were refused for what they are."""
        self._in_a_row = 0
        self._allowed = self._most
        self._suspect = Suspect.ROWS

    def refused(self, letter: DeadLetter) -> None:
        """A row, alone in its INSERT, that is not stored."""
        self._in_a_row += 1
        self._reason = letter.reason
        self._held.append(letter)

    def to_put(self) -> list[DeadLetter]:
        """The letters that were held back, once; to be asked for when rows were taken, and at the end of a batch."""
        held, self._held = self._held, []
        return held

    def next_tries(self, left: list[Sequence[T]]) -> list[Sequence[T]]:
        """What is left of a batch, the next last: as it is, or with a sample first when too many were refused.

        Raises TableRefusesError when the sample is refused, too, or nothing is left.
        """
        if self._in_a_row < self._allowed:
            return left
        rows = [row for some in reversed(left) for row in some]
        if not rows or self._suspect is Suspect.TABLE:
            raise TableRefusesError(
                f"ClickHouse refuses whatever it is given, {self._in_a_row} events one after the other, the last of "
                f"them with: {self._reason[:500]}. The table or a materialized view on it must be at fault. The events "
                "are neither committed nor set aside. Mend the table, or drop the view, and start the sink again; to "
                "set the events aside as dead letters, raise AXONSTREAM_MAX_REFUSED_IN_A_ROW"
            )
        sampled = range(0, len(rows), -(-len(rows) // SAMPLE))
        self._allowed += len(sampled)
        self._suspect = Suspect.TABLE
        rest = [row for at, row in enumerate(rows) if at not in sampled]
        return [*([rest] if rest else []), *([rows[at]] for at in reversed(sampled))]

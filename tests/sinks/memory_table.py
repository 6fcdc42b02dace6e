"""events_log as a list in memory, with the ways in which an INSERT can end. Only for the ledger's property test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

import orjson

from axonstream.sinks.errors import OutcomeUnknownError, OutOfTimeError, RowRefusedError

Place = tuple[int, int]  # partition, offset


class Outcome(Enum):
    """How one INSERT ends."""

    STORED = auto()
    LOST = auto()
    STORED_UNANSWERED = auto()
    HALF_STORED_UNANSWERED = auto()
    STILL_RUNNING = auto()  # no answer in time: stored at the next look, unless it is killed before
    OUT_OF_TIME = auto()
    STORED_AND_REFUSED = auto()  # a materialized view refuses what the table has taken
    CRASH_BEFORE = auto()
    CRASH_HALF_STORED = auto()
    CRASH_AFTER = auto()


class CrashError(BaseException):
    """kill -9: nothing of ours runs after it."""


class MemoryTable:
    """Stands where the client and the writer of an EventStore stand."""

    def __init__(self, next_outcome: Callable[[], Outcome], poison: set[Place], *, rows_are_named: bool) -> None:
        self.rows: Counter[Place] = Counter()
        self._running: list[Place] = []
        self._next_outcome = next_outcome
        self._poison = poison
        self._rows_are_named = rows_are_named

    async def insert(self, table: str, columns: str, lines: Sequence[bytes], partitions: Iterable[int]) -> None:
        places: list[Place] = [(row["_partition"], row["_offset"]) for row in map(orjson.loads, lines)]
        outcome = self._next_outcome()
        if outcome is Outcome.CRASH_BEFORE:
            raise CrashError
        if outcome is Outcome.LOST:
            raise OutcomeUnknownError("lost")
        if outcome is Outcome.OUT_OF_TIME:
            raise OutOfTimeError("too many rows")
        for number, place in enumerate(places, 1):
            if place in self._poison:
                raise RowRefusedError(number if self._rows_are_named else None, "poison")
        if outcome is Outcome.STILL_RUNNING:
            self._running += places
            raise OutOfTimeError("still running")
        half = outcome in (Outcome.HALF_STORED_UNANSWERED, Outcome.CRASH_HALF_STORED)
        self.rows.update(places[: len(places) // 2] if half else places)
        if outcome is Outcome.STORED_AND_REFUSED:
            raise RowRefusedError(None, "while pushing to a view")
        if outcome in (Outcome.CRASH_AFTER, Outcome.CRASH_HALF_STORED):
            raise CrashError
        if outcome in (Outcome.STORED_UNANSWERED, Outcome.HALF_STORED_UNANSWERED):
            raise OutcomeUnknownError("no answer")

    async def kill(self, table: str, partitions: Iterable[int]) -> None:
        killed = set(partitions)
        self._running = [place for place in self._running if place[0] not in killed]

    def _finish_running(self) -> None:
        """What nobody killed becomes rows: after the look, so that the look has missed it."""
        self.rows.update(self._running)
        self._running = []

    async def query(self, sql: str, parameters: dict[str, Any]) -> SimpleNamespace:
        if not parameters:  # what the clock shows
            return SimpleNamespace(result_rows=[(0,)])
        first, last, partition = parameters["first"], parameters["last"], parameters["partition"]
        found = [(o,) for p, o in self.rows if p == partition and first <= o <= last]
        self._finish_running()
        return SimpleNamespace(result_rows=found)

    def ceiling(self, partition: int, committed: int) -> int:
        highest = max((o for p, o in self.rows if p == partition and o >= committed), default=-1)
        self._finish_running()
        return highest

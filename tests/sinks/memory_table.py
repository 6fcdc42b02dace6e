"""events_log as a list in memory, with the ways in which an INSERT can end. Only for the ledger's property test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

import orjson

from sinks.errors import OutcomeUnknownError, RowRefusedError

Place = tuple[int, int]  # partition, offset


class Outcome(Enum):
    """How one INSERT ends."""

    STORED = auto()
    LOST = auto()
    STORED_UNANSWERED = auto()
    HALF_STORED_UNANSWERED = auto()
    CRASH_BEFORE = auto()
    CRASH_HALF_STORED = auto()
    CRASH_AFTER = auto()


class CrashError(BaseException):
    """kill -9: nothing of ours runs after it."""


class MemoryTable:
    """Stands where the client and the writer of an EventStore stand."""

    def __init__(self, next_outcome: Callable[[], Outcome], poison: set[Place], *, rows_are_named: bool) -> None:
        self.rows: Counter[Place] = Counter()
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
        for number, place in enumerate(places, 1):
            if place in self._poison:
                raise RowRefusedError(number if self._rows_are_named else None, "poison")
        half = outcome in (Outcome.HALF_STORED_UNANSWERED, Outcome.CRASH_HALF_STORED)
        self.rows.update(places[: len(places) // 2] if half else places)
        if outcome in (Outcome.CRASH_AFTER, Outcome.CRASH_HALF_STORED):
            raise CrashError
        if outcome in (Outcome.STORED_UNANSWERED, Outcome.HALF_STORED_UNANSWERED):
            raise OutcomeUnknownError("no answer")

    async def kill(self, table: str, partitions: Iterable[int]) -> None:
        return None

    async def query(self, sql: str, parameters: dict[str, Any]) -> SimpleNamespace:
        first, last, partition = parameters["first"], parameters["last"], parameters["partition"]
        return SimpleNamespace(result_rows=[(o,) for p, o in self.rows if p == partition and first <= o <= last])

    def ceiling(self, partition: int, committed: int) -> int:
        return max((o for p, o in self.rows if p == partition and o >= committed), default=-1)

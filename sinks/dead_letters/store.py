"""The dead letters as an operator works with them: found, read, and decided on.

A decision stands in a table of its own, by the letter's place, so that a sink that writes the same letter again after a
crash does not open it again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.slices import slices
from axonstream.sinks.dead_letters.filter import LetterFilter
from axonstream.unix_ms import time_of

Decision = Literal["replayed", "discarded"]
State = Literal["open", "replayed", "discarded"]

SLICE_LETTERS = 500
SLICE_BYTES = 8 << 20  # of values in memory at a time; one larger value comes alone

_PLACE = "topic, _topic_epoch, partition, offset"
_LETTERS = """FROM dead_letters AS l FINAL LEFT JOIN (SELECT * FROM dead_letter_decisions FINAL) AS d
ON l.topic = d.topic AND l._topic_epoch = d._topic_epoch AND l.partition = d.partition AND l.offset = d.offset
WHERE """
_STATE = "if(d.decision = '', 'open', d.decision) "
_COLUMNS = f"""l.topic, l._topic_epoch, l.partition, l.offset, toUnixTimestamp64Milli(l.failed_at), l.tenant_id,
  l.trace_id, l.reason, toUInt64(length(l.value)), {_STATE}"""
_HEADS = f"l.topic, l._topic_epoch, l.partition, l.offset, l.tenant_id, l.reason, {_STATE}"
_OPEN = " AND d.decision = ''"
_IN_ORDER = " ORDER BY l.topic, l._topic_epoch, l.partition, l.offset"


class Place(NamedTuple):
    """Where the record stands; an offset means something only within its epoch."""

    topic: str
    epoch: int
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its bytes; `failed_at` is the record's own time in ms since 1970."""

    place: Place
    failed_at: int
    tenant_id: str
    trace_id: str
    reason: str
    value_bytes: int
    state: State


class LetterHead(NamedTuple):
    """What is told of a letter without reading its record; `tenant_id` is the one that the record claims."""

    place: Place
    tenant_id: str
    reason: str
    state: State


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """A dead letter and its record's bytes. A record without a key, or without a value, has b"" here."""

    letter: Letter
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often a reason was given, and the times of the first and last of its letters in ms since 1970."""

    reason: str
    letters: int
    first_at: int
    last_at: int


class DeadLetterStore:
    """Reads and decides; raises clickhouse_connect's errors when the server does not answer.

    `everything` takes in the letters that were replayed or discarded, too.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def newest(self, which: LetterFilter, limit: int, *, everything: bool) -> list[Letter]:
        """At most `limit` letters, the latest record first."""
        order = " ORDER BY l.failed_at DESC, l.topic, l._topic_epoch, l.partition, l.offset DESC LIMIT {most:UInt64}"
        rows = await self._rows(_COLUMNS, which, everything, order, {"most": limit})
        return [_letter(row) for row in rows]

    async def reasons(self, which: LetterFilter, *, everything: bool) -> list[ReasonCount]:
        """The reasons, the most frequent first."""
        times = "toUnixTimestamp64Milli(min(l.failed_at)), toUnixTimestamp64Milli(max(l.failed_at)) "
        order = " GROUP BY l.reason ORDER BY letters DESC, l.reason"
        rows = await self._rows(f"l.reason, count() AS letters, {times}", which, everything, order, {})
        return [ReasonCount(*row) for row in rows]

    async def opened(
        self, which: LetterFilter, *, everything: bool, limit: int | None = None
    ) -> AsyncGenerator[list[OpenedLetter]]:
        """The letters in the order of their places, with their bytes, a slice at a time; memory is that of a slice.

        A letter that is decided on between two slices is not seen twice, and one that comes in behind is not seen.
        """
        async for rows in self._pages(_COLUMNS, which, everything, limit):
            letters = [_letter(row) for row in rows]
            sizes = (letter.value_bytes for letter in letters)
            for some in slices(letters, sizes, SLICE_LETTERS, SLICE_BYTES):
                yield await self._open(some)

    async def heads(
        self, which: LetterFilter, *, everything: bool, limit: int | None = None
    ) -> AsyncGenerator[list[LetterHead]]:
        """As `opened`, of each letter its head alone: nothing of the records is read."""
        async for rows in self._pages(_HEADS, which, everything, limit):
            yield [LetterHead(Place(*row[:4]), *row[4:]) for row in rows]

    async def stored_places(self, places: Sequence[Place]) -> set[tuple[int, int, int]]:
        """(epoch, partition, offset) of those that are rows of events_log all the same.

        A sink that died between the letter and its commit read the record again, and by then its version took it.
        """
        found = await self._client.query(
            "SELECT DISTINCT _topic_epoch, _partition, _offset FROM events_log "
            "WHERE (_topic_epoch, _partition, _offset) IN {places:Array(Tuple(UInt32, UInt32, Int64))}",
            parameters={"places": [tuple(place[1:]) for place in places]},
        )
        return {(epoch, partition, offset) for epoch, partition, offset in found.result_rows}

    async def decide(self, places: Sequence[Place], decision: Decision, now_ms: int) -> None:
        """Returns when the decisions are stored. The latest counts; deciding the same again changes nothing."""
        at = time_of(now_ms)
        await self._client.insert(
            "dead_letter_decisions",
            [[*place, decision, at] for place in places],
            column_names=["topic", "_topic_epoch", "partition", "offset", "decision", "decided_at"],
            settings={"async_insert": 0},
        )

    async def _pages(
        self, columns: str, which: LetterFilter, everything: bool, limit: int | None
    ) -> AsyncGenerator[Sequence[Sequence[Any]]]:
        """Rows in the order of their places, which are their first columns."""
        beyond = (
            " AND (l.topic, l._topic_epoch, l.partition, l.offset) > ({after_topic:String}, {after_epoch:UInt32}, "
            "{after_partition:UInt32}, {after_offset:Int64})"
        )
        names = ("after_topic", "after_epoch", "after_partition", "after_offset")
        left = limit
        after: Sequence[Any] = ("", 0, 0, -1)
        while left is None or left > 0:
            most = SLICE_LETTERS if left is None else min(left, SLICE_LETTERS)
            values = {**dict(zip(names, after, strict=True)), "most": most}
            rows = await self._rows(columns, which, everything, f"{beyond}{_IN_ORDER} LIMIT {{most:UInt64}}", values)
            if not rows:
                return
            yield rows
            after = rows[-1][:4]
            left = None if left is None else left - len(rows)

    async def _open(self, letters: Sequence[Letter]) -> list[OpenedLetter]:
        found = await self._client.query(
            f"SELECT {_PLACE}, key, value FROM dead_letters FINAL "  # noqa: S608  constants only
            f"WHERE ({_PLACE}) IN {{places:Array(Tuple(String, UInt32, UInt32, Int64))}}",
            parameters={"places": [tuple(letter.place) for letter in letters]},
            column_formats={"key": "bytes", "value": "bytes"},
        )
        records = {Place(*row[:4]): (row[4], row[5]) for row in found.result_rows}
        return [OpenedLetter(letter, *records[letter.place]) for letter in letters if letter.place in records]

    async def _rows(
        self, columns: str, which: LetterFilter, everything: bool, end: str, values: dict[str, Any]
    ) -> Sequence[Sequence[Any]]:
        sql = f"SELECT {columns}{_LETTERS}{which.sql()}{'' if everything else _OPEN}{end}"
        return (await self._client.query(sql, parameters=which.given() | values)).result_rows


def head_of(letter: Letter) -> LetterHead:
    return LetterHead(letter.place, letter.tenant_id, letter.reason, letter.state)


def _letter(row: Sequence[Any]) -> Letter:
    return Letter(Place(*row[:4]), *row[4:])

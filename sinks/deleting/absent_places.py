"""Offsets whose rows are about to be deleted: the comparison of tables and log must not take them for lost.

A sink that finds them missing would read them again, see that they are deleted, and remember that itself. But while it
did, reads would wait, and `axonstream repair` would wait for rows that never come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.sinks.offsets.gaps import OFFSETS_OF_A_RANGE

ROWS_AT_A_TIME = 2_000_000  # of one statement, which sorts their offsets in memory


class Places(NamedTuple):
    """Where a table has the place of a record."""

    table: str
    partition: str
    offset: str


ROWS = Places("events_log", "_partition", "_offset")
LETTERS = Places("dead_letters", "partition", "offset")  # to be asked for those of agent-events alone


_RANGES = """SELECT _topic_epoch, {partition}, intDiv({offset}, {size}) AS of_range, count() FROM {table}
WHERE {condition} GROUP BY ALL ORDER BY ALL"""
_WITHIN = (
    "_topic_epoch = {of.epoch} AND {partition} = {of.partition} AND {offset} >= {of.start} AND {offset} < {of.end}"
)
_REMEMBER = """INSERT INTO absent_offsets (_topic_epoch, _partition, first_offset, last_offset)
SELECT {of.epoch}, {of.partition}, min(at), max(at) FROM (
  SELECT at, toInt64(at) - row_number() OVER (ORDER BY at) AS island FROM (
    SELECT DISTINCT {offset} AS at FROM {table} WHERE {condition}
  )
) GROUP BY island, intDiv(at, {size})"""


class Stretch(NamedTuple):
    """Offsets of one partition, from the first to below the second bound."""

    epoch: int
    partition: int
    start: int
    end: int


async def remember_absent(client: AsyncClient, places: Places, condition: str) -> None:
    """Before the rows go; done again it changes nothing. Raises clickhouse_connect's errors."""
    ranges = await client.query(_RANGES.format(**places._asdict(), condition=condition, size=OFFSETS_OF_A_RANGE))
    for stretch in stretches(ranges.result_rows):
        within = _WITHIN.format(**places._asdict(), of=stretch)
        sql = _REMEMBER.format(
            **places._asdict(), condition=f"{within} AND {condition}", of=stretch, size=OFFSETS_OF_A_RANGE
        )
        await client.command(sql, settings={"insert_deduplicate": 0})


def stretches(ranges: Sequence[Sequence[int]]) -> Iterator[Stretch]:
    """Of (epoch, partition, number of the range, rows), which ascend: as many ranges together as fit."""
    stretch, rows = None, 0
    for epoch, partition, number, more in ranges:
        start, end = number * OFFSETS_OF_A_RANGE, (number + 1) * OFFSETS_OF_A_RANGE
        if stretch is not None and stretch[:2] == (epoch, partition) and rows + more <= ROWS_AT_A_TIME:
            stretch, rows = stretch._replace(end=end), rows + more
            continue
        if stretch is not None:
            yield stretch
        stretch, rows = Stretch(epoch, partition, start, end), more
    if stretch is not None:
        yield stretch

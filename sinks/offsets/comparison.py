"""The tables against the log: which offsets of agent-events are neither a row nor a dead letter.

A ClickHouse that has lost parts (a power cut, a restored backup) has fewer rows than the committed offset says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.sinks.offsets.gaps import OFFSETS_OF_A_RANGE, Gap, ranges_of, whole

SLOWEST_ANSWER_S = 600  # counting reads three narrow columns of the whole table

_BOUNDS = """{column} >= transform({partition}, {{partitions:Array(UInt32)}}, {{starts:Array(Int64)}}, 0)
AND {column} < transform({partition}, {{partitions:Array(UInt32)}}, {{ends:Array(Int64)}}, 0)"""
_OF_EVENTS = _BOUNDS.format(column="_offset", partition="_partition")
_OF_LETTERS = _BOUNDS.format(column="offset", partition="partition")

# A count alone could hide a hole behind a row that is there twice; the sum of the places does not fit then.
_COUNTS = f"""SELECT of_partition, of_range, sum(places), sum(sum_of_places) FROM (
  SELECT _partition AS of_partition, intDiv(_offset, {{size:Int64}}) AS of_range, toInt64(count()) AS places,
    sum(_offset % {{size:Int64}}) AS sum_of_places
  FROM events_log
  WHERE _topic_epoch = {{epoch:UInt32}} AND _offset >= {{lowest:Int64}} AND {_OF_EVENTS} GROUP BY ALL
  UNION ALL
  SELECT partition, intDiv(offset, {{size:Int64}}), toInt64(count()), sum(offset % {{size:Int64}})
  FROM dead_letters FINAL WHERE topic = {{topic:String}} AND _topic_epoch = {{epoch:UInt32}} AND {_OF_LETTERS}
  GROUP BY ALL
  UNION ALL
  SELECT _partition, intDiv(first, {{size:Int64}}), sum(last - first + 1),
    sum(intDiv((first % {{size:Int64}} + last % {{size:Int64}}) * (last - first + 1), 2))
  FROM (
    SELECT _partition,
      greatest(first_offset, transform(_partition, {{partitions:Array(UInt32)}}, {{starts:Array(Int64)}}, 0)) AS first,
      least(last_offset, transform(_partition, {{partitions:Array(UInt32)}}, {{ends:Array(Int64)}}, 0) - 1) AS last
    FROM absent_offsets FINAL WHERE _topic_epoch = {{epoch:UInt32}}
  ) WHERE first <= last GROUP BY ALL
) GROUP BY of_partition, of_range"""  # noqa: S608  constants only

_STORED = """SELECT _offset FROM events_log WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}
      AND _offset >= {start:Int64} AND _offset < {end:Int64}
    UNION DISTINCT
    SELECT offset FROM dead_letters WHERE topic = {topic:String} AND _topic_epoch = {epoch:UInt32}
      AND partition = {partition:UInt32} AND offset >= {start:Int64} AND offset < {end:Int64}"""
_ABSENT = """UNION DISTINCT
    SELECT arrayJoin(range(greatest(first_offset, {start:Int64}), least(last_offset + 1, {end:Int64})))
    FROM absent_offsets FINAL WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}
      AND first_offset < {end:Int64} AND last_offset >= {start:Int64}"""


def gaps_sql(*, but_for: str = "") -> str:
    """Every place where the next stored offset is not the next offset; one before the range stands in for its start.

    Asks with `start`, `end`, `epoch`, `partition` and `topic`.
    """
    return f"""SELECT at + 1, following - 1 FROM (
  SELECT at, leadInFrame(at, 1, {{end:Int64}}) OVER (ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    AS following
  FROM (
    SELECT {{start:Int64}} - 1 AS at
    UNION DISTINCT
    {_STORED}
    {but_for}
  )
) WHERE following > at + 1 ORDER BY at"""  # noqa: S608  constants only


_GAPS = gaps_sql(but_for=_ABSENT)


class Comparison:
    """Asks the tables of one epoch. Raises clickhouse_connect's errors when the server does not answer."""

    def __init__(self, client: AsyncClient, topic: str, epoch: int) -> None:
        self._client = client
        self._topic = topic
        self._epoch = epoch

    async def gaps(self, bounds: Mapping[int, tuple[int, int]]) -> dict[int, list[Gap]]:
        """By partition, the offsets from the first to below the second bound that no table has, if there are any.

        Offsets that are known to have no record are left out; others may have none, too. One query counts, and only
        ranges whose count is short are looked at closely: 5 million rows take some 50 ms.
        """
        bounds = {partition: bound for partition, bound in bounds.items() if bound[0] < bound[1]}
        if not bounds:
            return {}
        stored = {
            (partition, number): (places, sum_of_places)
            for partition, number, places, sum_of_places in await self._rows(
                _COUNTS,
                partitions=list(bounds),
                starts=[start for start, _ in bounds.values()],
                ends=[end for _, end in bounds.values()],
                lowest=min(start for start, _ in bounds.values()),
                size=OFFSETS_OF_A_RANGE,
            )
        }
        found: dict[int, list[Gap]] = {}
        for partition, (start, end) in bounds.items():
            for part in ranges_of(start, end):
                if stored.get((partition, part.first // OFFSETS_OF_A_RANGE)) != whole(part):
                    found.setdefault(partition, []).extend(await self._gaps_of(partition, part))
        return {partition: gaps for partition, gaps in found.items() if gaps}

    async def keep_absent(self, partition: int, gaps: Iterable[Gap]) -> None:
        """The log was read, and has no record there."""
        parts = [part for gap in gaps for part in ranges_of(gap.first, gap.last + 1)]
        if parts:
            await self._client.insert(
                "absent_offsets",
                [[self._epoch, partition, part.first, part.last] for part in parts],
                column_names=["_topic_epoch", "_partition", "first_offset", "last_offset"],
                settings={"async_insert": 0},
            )

    async def _gaps_of(self, partition: int, part: Gap) -> list[Gap]:
        rows = await self._rows(_GAPS, partition=partition, start=part.first, end=part.last + 1, topic=self._topic)
        return [Gap(*row) for row in rows]

    async def _rows(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        given = {"topic": self._topic, "epoch": self._epoch, **parameters}
        return (await self._client.query(sql, parameters=given)).result_rows

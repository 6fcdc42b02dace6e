"""Each record of the log below the committed offset is one row, or one dead letter (guarantee G2)."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.settings import Settings
from producers.topics import Topics
from producers.verdict import Refusal, verdict
from sinks.verification.findings import Finding, Kind, Verification
from sinks.verification.log_state import EventsLog, PartitionState

_DAY_MS = 24 * 3600 * 1000
_LONGEST_LOOK = 100_000  # offsets of one gap that the log is asked for at a time

_TWICE = """SELECT _topic_epoch, _partition, _offset, count() AS copies FROM events_log
GROUP BY _topic_epoch, _partition, _offset HAVING copies > 1 ORDER BY ALL"""

_DEAD = """SELECT _topic_epoch, partition, offset FROM dead_letters FINAL WHERE topic = {topic:String}"""

_BOTH = f"""SELECT _topic_epoch, _partition, _offset FROM events_log
WHERE (_topic_epoch, _partition, _offset) IN ({_DEAD}) ORDER BY ALL"""  # noqa: S608  constants only

_COUNTS = f"""SELECT (SELECT uniqExact(_topic_epoch, _partition, _offset) FROM events_log),
  (SELECT count() FROM ({_DEAD}))"""  # noqa: S608

_HIGHEST = """SELECT _partition, max(_offset) FROM events_log WHERE _topic_epoch = {epoch:UInt32} GROUP BY _partition"""

# Every place where the next stored offset is not the next offset; one before the range stands in for its start.
_GAPS = """SELECT at + 1, following - 1 FROM (
  SELECT at, leadInFrame(at, 1, {end:Int64}) OVER (ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    AS following
  FROM (
    SELECT {start:Int64} - 1 AS at
    UNION DISTINCT
    SELECT _offset FROM events_log WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}
      AND _offset >= {start:Int64} AND _offset < {end:Int64}
    UNION DISTINCT
    SELECT offset FROM dead_letters WHERE topic = {topic:String} AND _topic_epoch = {epoch:UInt32}
      AND partition = {partition:UInt32} AND offset >= {start:Int64} AND offset < {end:Int64}
  )
) WHERE following > at + 1 ORDER BY at"""


class StoredOffsets:
    """Compares places, not contents. What retention has deleted from the log cannot be judged, and is not."""

    def __init__(self, settings: Settings, client: AsyncClient, epoch: int, result: Verification) -> None:
        self._topic = Topics(settings.topic_prefix).events
        self._settings = settings
        self._client = client
        self._epoch = epoch
        self._result = result

    async def check(self, log: EventsLog, states: Sequence[PartitionState]) -> None:
        """Adds what is lost, twice, both or ahead to the result."""
        ((self._result.events, self._result.dead_letters),) = await self._rows(_COUNTS)
        for epoch, partition, offset, copies in await self._rows(_TWICE):
            self._add(Kind.TWICE, f"{partition}@{offset} epoch {epoch}", f"{copies} rows", copies - 1)
        for epoch, partition, offset in await self._rows(_BOTH):
            self._add(Kind.BOTH, f"{partition}@{offset} epoch {epoch}", "a row and a dead letter")
        highest = {row[0]: row[1] for row in await self._rows(_HIGHEST)}
        ends = await log.ends([state.partition for state in states])  # after the look: what is stored is in the log
        for state in states:
            self._check_ends(state, highest.get(state.partition, -1), ends[state.partition])
            await self._check_gaps(log, state)

    def _check_ends(self, state: PartitionState, highest: int, end: int) -> None:
        self._result.pending += max(0, state.end - state.committed)
        self._result.behind += max(0, state.end - state.folded)
        for what, position in (("committed", state.committed), ("stored", highest + 1), ("folded", state.folded)):
            if position > end:
                self._add(Kind.AHEAD, f"partition {state.partition}", f"{what} {position}, the log ends at {end}")

    async def _check_gaps(self, log: EventsLog, state: PartitionState) -> None:
        if state.committed <= state.start:
            return
        bounds = {"partition": state.partition, "start": state.start, "end": state.committed}
        for first, last in await self._rows(_GAPS, **bounds):
            for at in range(first, last + 1, _LONGEST_LOOK):
                await self._look(log, state.partition, at, min(last, at + _LONGEST_LOOK - 1))

    async def _look(self, log: EventsLog, partition: int, first: int, last: int) -> None:
        """Transaction markers leave offsets without a record, and expired events have left the table."""
        async for record in log.records_between(partition, first, last):
            event = verdict(record.key, record.value)
            if isinstance(event, Refusal):
                ttl_days, what = self._settings.dead_letters_ttl_days, event.reason
            else:
                ttl_days, what = self._settings.events_ttl_days, f"event {event['event_id']} of {event['trace_id']}"
            if not self._may_be_expired(record.timestamp, ttl_days):
                self._add(Kind.LOST, f"{partition}@{record.offset}", what)

    def _may_be_expired(self, sent_at_ms: int, ttl_days: int) -> bool:
        """Only where Kafka keeps records longer than ClickHouse keeps rows; a sender's old clock is no excuse."""
        if self._settings.topic_retention_hours <= 24 * ttl_days:
            return False
        return sent_at_ms < time() * 1000 - ttl_days * _DAY_MS

    def _add(self, kind: Kind, place: str, what: str, times: int = 1) -> None:
        self._result.add(Finding(kind, f"{self._topic} {place}", what), times)

    async def _rows(self, sql: str, **parameters: Any) -> Any:
        given = {"topic": self._topic, "epoch": self._epoch, **parameters}
        return (await self._client.query(sql, parameters=given)).result_rows

"""Each record of the log below the committed offset is one row, or one dead letter (guarantee G2)."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.replay import dedup_key_of
from axonstream.sinks.dead_letters.store import Place
from axonstream.sinks.offsets.comparison import gaps_sql
from axonstream.sinks.verification.deleted import KnownDeletions
from axonstream.sinks.verification.findings import Finding, Kind, Verification
from axonstream.sinks.verification.log_state import EventsLog, PartitionState

_DAY_MS = 24 * 3600 * 1000
OFFSETS_AT_A_TIME = 5_000_000  # of a partition; one query holds as many in memory, some 500 MB
_LONGEST_LOOK = 100_000  # offsets of one gap that the log is asked for at a time

_RANGES = """SELECT _topic_epoch, _partition, intDiv(_offset, {step:Int64}) * {step:Int64} AS first, count(),
  max(_offset) FROM events_log GROUP BY _topic_epoch, _partition, first ORDER BY ALL"""

_WITHIN = """_topic_epoch = {of_epoch:UInt32} AND _partition = {partition:UInt32}
AND _offset BETWEEN {first:Int64} AND {last:Int64}"""

_TWICE = f"""SELECT _offset, count() AS copies FROM events_log WHERE {_WITHIN}
GROUP BY _offset HAVING copies > 1 ORDER BY _offset"""  # noqa: S608  constants only

_LETTER_WITHIN = """topic = {topic:String} AND _topic_epoch = {of_epoch:UInt32} AND partition = {partition:UInt32}
AND offset BETWEEN {first:Int64} AND {last:Int64}"""

_BOTH = f"""SELECT DISTINCT e._offset, d.decision FROM events_log AS e
LEFT JOIN (SELECT offset, decision FROM dead_letter_decisions FINAL WHERE {_LETTER_WITHIN}) AS d ON e._offset = d.offset
WHERE {_WITHIN} AND e._offset IN (SELECT offset FROM dead_letters WHERE {_LETTER_WITHIN}) ORDER BY e._offset"""  # noqa: S608

_REPLAYS = """SELECT dedup_key, min((_partition, _offset)) FROM events_log
WHERE dedup_key IN {keys:Array(String)} GROUP BY dedup_key"""
_REPLAYS_AT_A_TIME = 1000

_LETTERS = "SELECT count() FROM dead_letters FINAL WHERE topic = {topic:String}"

_GAPS = gaps_sql()  # whatever the sink remembers of them: Kafka itself is asked


class StoredOffsets:
    """Compares places, not contents, range by range of offsets: memory is bounded whatever the size of the tables.

    What retention has deleted from the log cannot be judged, and is not.
    """

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        epoch: int,
        result: Verification,
        deletions: KnownDeletions | None = None,
    ) -> None:
        self._deletions = deletions
        self._topic = Topics(settings.topic_prefix).events
        self._settings = settings
        self._client = client
        self._epoch = epoch
        self._result = result

    async def check(self, log: EventsLog, states: Sequence[PartitionState]) -> None:
        """Adds what is lost, twice, both or ahead to the result."""
        ((self._result.dead_letters,),) = await self._rows(_LETTERS)
        highest: dict[int, int] = {}
        for epoch, partition, first, rows, last in await self._rows(_RANGES, step=OFFSETS_AT_A_TIME):
            self._result.events += rows - await self._check_range(epoch, partition, first)
            if epoch == self._epoch:
                highest[partition] = max(last, highest.get(partition, -1))
        ends = await log.ends([state.partition for state in states])  # after the look: what is stored is in the log
        for state in states:
            self._check_ends(state, highest.get(state.partition, -1), ends[state.partition])
            await self._check_gaps(log, state)

    async def _check_range(self, epoch: int, partition: int, first: int) -> int:
        """How many rows of these offsets are too many."""
        bounds = {"of_epoch": epoch, "partition": partition, "first": first, "last": first + OFFSETS_AT_A_TIME - 1}
        too_many = 0
        for offset, copies in await self._rows(_TWICE, **bounds):
            self._add(Kind.TWICE, f"{partition}@{offset} epoch {epoch}", f"{copies} rows", copies - 1)
            too_many += copies - 1
        replayed: list[int] = []
        for offset, decision in await self._rows(_BOTH, **bounds):
            if not decision:
                self._add(Kind.BOTH, f"{partition}@{offset} epoch {epoch}", "a row and an open dead letter")
            elif decision == "replayed":
                replayed.append(offset)
        for at in range(0, len(replayed), _REPLAYS_AT_A_TIME):
            await self._check_replays(epoch, partition, replayed[at : at + _REPLAYS_AT_A_TIME])
        return too_many

    async def _check_replays(self, epoch: int, partition: int, offsets: Sequence[int]) -> None:
        """A letter that was published again is one event too many when its own record was stored after all.

        What had a dedup key of its own counts once.
        """
        places = {dedup_key_of(Place(self._topic, epoch, partition, offset)): offset for offset in offsets}
        for key, (to, at) in await self._rows(_REPLAYS, keys=list(places)):
            self._add(Kind.TWICE, f"{partition}@{places[key]} epoch {epoch}", f"a row, and replayed at {to}@{at}")

    def _check_ends(self, state: PartitionState, highest: int, end: int) -> None:
        self._result.pending += max(0, state.end - state.committed)
        self._result.behind += max(0, state.end - state.folded)
        for what, position in (("committed", state.committed), ("stored", highest + 1), ("folded", state.folded)):
            if position > end:
                self._add(Kind.AHEAD, f"partition {state.partition}", f"{what} {position}, the log ends at {end}")

    async def _check_gaps(self, log: EventsLog, state: PartitionState) -> None:
        for start in range(state.start, state.committed, OFFSETS_AT_A_TIME):
            end = min(state.committed, start + OFFSETS_AT_A_TIME)
            for first, last in await self._rows(_GAPS, partition=state.partition, start=start, end=end):
                for at in range(first, last + 1, _LONGEST_LOOK):
                    await self._look(log, state.partition, at, min(last, at + _LONGEST_LOOK - 1))

    async def _look(self, log: EventsLog, partition: int, first: int, last: int) -> None:
        """Transaction markers leave offsets without a record, and expired events have left the table."""
        async for record in log.records_between(partition, first, last):
            event = validate_record(record.key, record.value)
            if self._deletions is not None and self._deletions.explains(record, event):
                self._result.deleted += 1
                continue
            if isinstance(event, ValidationFailure):
                ttl_days, what = self._settings.dead_letters_ttl_days, event.reason
            else:
                ttl_days, what = self._settings.events_ttl_days, f"event {event.event_id} of {event.trace_id}"
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

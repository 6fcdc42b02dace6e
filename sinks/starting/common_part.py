"""Up to where a log is the one whose records are stored: the comparison of rows with records, from the end backwards.

Kafka cuts a log only at its end, so what is below a record that is stored as it stands is stored as it stands, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.client import kafka_options
from axonstream.settings.settings import Settings
from axonstream.sinks.offsets.log_records import FETCH_WAIT_MS, records_between

FIRST_WINDOW = 1000  # offsets that are compared at once; each following window is larger
GROWTH = 4
LARGEST_WINDOW = 100_000

Stored = tuple[Any, ...]

_ROWS = """SELECT _offset, tenant_id, trace_id, event_id, dedup_key, toUnixTimestamp64Milli(occurred_at)
FROM events_log WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}
AND _offset BETWEEN {first:Int64} AND {last:Int64}"""
_LETTERS = """SELECT offset, key, value FROM dead_letters FINAL WHERE topic = {topic:String}
AND _topic_epoch = {epoch:UInt32} AND partition = {partition:UInt32}
AND offset BETWEEN {first:Int64} AND {last:Int64}"""


@dataclass(slots=True)
class Comparison:
    """What the windows say so far, the newest first. `result` is the first offset that is not known to be common."""

    first_other: int | None = None
    result: int | None = None
    _seen: list[int] = field(default_factory=list[int])

    def add(self, in_log: Mapping[int, Sequence[Stored]], stored: Mapping[int, Sequence[Stored]]) -> bool:
        """Compare a window; True when `result` is known. A place without a row proves nothing, nor does one whose
        record is gone.
        """
        common: list[int] = []
        for offset, found in stored.items():
            if any(identity in found for identity in in_log.get(offset, ())):
                common.append(offset)
            elif self.first_other is None or offset < self.first_other:
                self.first_other = offset
        below = [offset for offset in common if self.first_other is None or offset < self.first_other]
        if below:
            self.result = max(below) + 1
        return self.result is not None


def identities_of(key: bytes | None, value: bytes | None) -> list[Stored]:
    """What is compared of a record: as its dead letter has it, and as its row, where it is an event."""
    letter: Stored = (key or b"", value or b"")
    event = validate_record(key, value)
    if isinstance(event, ValidationFailure):
        return [letter]
    return [letter, (event.tenant_id, event.trace_id, event.event_id, event.dedup_key, event.occurred_at)]


async def common_end(settings: Settings, client: AsyncClient, epoch: int, tp: TopicPartition, high: int) -> int:
    """The first offset, at most `high`, from which on the rows of `epoch` are not known to be what the log has.

    Where retention has left nothing to compare, the start of the log. Raises KafkaError and ClickHouse's errors.
    """
    consumer = AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        low, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        comparison, window = Comparison(), FIRST_WINDOW
        last = high - 1
        while last >= low:
            first = max(low, last - window + 1)
            in_log: dict[int, list[Stored]] = {}
            if first < end:
                async for record in records_between(consumer, tp, first, min(last, end - 1)):
                    in_log[record.offset] = identities_of(record.key, record.value)
            if comparison.add(in_log, await _stored(client, epoch, tp, first, last)):
                break
            last, window = first - 1, min(LARGEST_WINDOW, window * GROWTH)
        return min(low if comparison.result is None else comparison.result, high, end)
    finally:
        await consumer.stop()


async def _stored(
    client: AsyncClient, epoch: int, tp: TopicPartition, first: int, last: int
) -> dict[int, list[Stored]]:
    bounds = {"topic": tp.topic, "partition": tp.partition, "epoch": epoch, "first": first, "last": last}
    found: dict[int, list[Stored]] = {}
    for offset, *identity in (await client.query(_ROWS, parameters=bounds)).result_rows:
        found.setdefault(offset, []).append(tuple(identity))
    letters = await client.query(_LETTERS, parameters=bounds, column_formats={"key": "bytes", "value": "bytes"})
    for offset, key, value in letters.result_rows:
        found.setdefault(offset, []).append((key, value))
    return found

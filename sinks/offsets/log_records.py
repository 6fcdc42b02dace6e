"""The records of a stretch of one partition, read without a group."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from time import monotonic

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import RequestTimedOutError

PATIENCE_S = 30.0
FETCH_WAIT_MS = 20  # at the end of a log, a fetch holds up what is asked behind it on the same connection
_WAIT_MS = 500
_RECORDS = 10_000


async def records_between(
    consumer: AIOKafkaConsumer, tp: TopicPartition, first: int, last: int
) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
    """The records that the log still has from `first` to `last`, both included; markers are none.

    What retention deletes meanwhile is left out, and what is behind it is not: `consumer` resets to the earliest.
    Raises KafkaError, also when nothing comes for PATIENCE_S: a slow broker has not said that there is nothing.
    """
    consumer.assign([tp])
    consumer.seek(tp, first)
    end = (await consumer.end_offsets([tp]))[tp]
    moved_at = monotonic()
    while (before := await consumer.position(tp)) < min(last + 1, end):
        fetched = await consumer.getmany(tp, timeout_ms=_WAIT_MS, max_records=_RECORDS)
        records = fetched.get(tp, [])
        for record in records:
            if record.offset <= last:
                yield record
        if records or await consumer.position(tp) > before:  # markers alone are read past, too
            moved_at = monotonic()
        elif monotonic() - moved_at > PATIENCE_S:
            raise RequestTimedOutError(f"{tp.topic} partition {tp.partition}: nothing comes from offset {before} on")

"""The records of a stretch of one partition, read without a group."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

_WAIT_MS = 500
_RECORDS = 10_000


async def records_between(
    consumer: AIOKafkaConsumer, tp: TopicPartition, first: int, last: int
) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
    """The records that the log still has from `first` to `last`, both included; markers are none.

    What retention deletes meanwhile is left out, and what is behind it is not: `consumer` resets to the earliest.
    """
    consumer.assign([tp])
    consumer.seek(tp, first)
    end = (await consumer.end_offsets([tp]))[tp]
    while await consumer.position(tp) < min(last + 1, end):
        before = await consumer.position(tp)
        fetched = await consumer.getmany(tp, timeout_ms=_WAIT_MS, max_records=_RECORDS)
        records = fetched.get(tp, [])
        for record in records:
            if record.offset <= last:
                yield record
        if not records and await consumer.position(tp) == before:
            break  # nothing but markers up to the end of the log

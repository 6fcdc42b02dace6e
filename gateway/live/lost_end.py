"""Where a stream goes on in a log that has lost its end, and has other records now at the offsets that it had read."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

_UNNOTICED_MS = 30_000  # for the clocks of brokers, and for the time until a gateway notices a loss


async def offset_after_loss(consumer: AIOKafkaConsumer, partition: TopicPartition, at: int, newest_ms: int) -> int:
    """At most `at`, the offset that came next, and no record that was appended since the loss stands before it.

    `newest_ms`: when the newest record was appended that the stream had before the loss. Records have the broker's time
    (LogAppendTime), so those since the loss are newer; 0, of a position of an early version, does not say. Records of
    the last half minute before may come again: they are events that the stream has had. Raises KafkaError.
    """
    end = (await consumer.end_offsets([partition]))[partition]
    if not newest_ms:
        return min(at, end)
    found = (await consumer.offsets_for_times({partition: max(0, newest_ms - _UNNOTICED_MS)}))[partition]
    return min(at, end if found is None else found.offset)

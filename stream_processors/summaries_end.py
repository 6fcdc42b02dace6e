"""The last watermark on trace-summaries, by partition: how far summaries are certainly there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from axonstream.kafka.client import kafka_options
from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.kafka.topics import WATERMARK_KEY, Topics
from axonstream.settings.settings import Settings

NOTHING = CommitNote(folded=0)
FIRST_LOOK = 64  # records; the output of a chunk that is read in small pieces
FURTHER = 32  # times as many, when there is no watermark among them
_WAIT_MS = 250
_TIMEOUT_S = 20.0


async def last_watermarks(settings: Settings, partitions: Collection[int]) -> dict[int, CommitNote | None]:
    """What the last watermark says. It is `NOTHING` where the topic has never held one, or has lost all that it held;
    None where retention has deleted all of them.

    Raises KafkaError when Kafka does not answer in time.
    """
    topic = Topics(settings.topic_prefix).summaries
    consumer = AIOKafkaConsumer(**kafka_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        async with asyncio.timeout(_TIMEOUT_S):
            return await _look_back(consumer, [TopicPartition(topic, partition) for partition in partitions])
    except TimeoutError as error:
        raise KafkaError(f"{topic} cannot be read: no answer in time") from error
    finally:
        await consumer.stop()


async def _look_back(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[int, CommitNote | None]:
    consumer.assign(partitions)
    starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    found: dict[int, CommitNote | None] = {tp.partition: None if ends[tp] else NOTHING for tp in partitions}
    missing = {tp: FIRST_LOOK for tp in partitions if starts[tp] < ends[tp]}
    while missing:
        begins = {tp: max(starts[tp], ends[tp] - records) for tp, records in missing.items()}
        for tp, watermark in (await _read(consumer, begins, ends)).items():
            found[tp.partition] = watermark
        missing = {
            tp: records * FURTHER
            for tp, records in missing.items()
            if found[tp.partition] is None and begins[tp] > starts[tp]
        }
    for tp in partitions:
        if found[tp.partition] is None and starts[tp] == 0:
            found[tp.partition] = NOTHING
    return found


async def _read(
    consumer: AIOKafkaConsumer, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> dict[TopicPartition, CommitNote]:
    """The last watermark between `begins` and `ends`, of the partitions that have one there."""
    consumer.assign(list(begins))
    for tp, begin in begins.items():
        consumer.seek(tp, begin)
    found: dict[TopicPartition, CommitNote] = {}
    left = set(begins)
    while left:
        fetched: Any = await consumer.getmany(*left, timeout_ms=_WAIT_MS)
        for tp, records in fetched.items():
            for record in records:
                if record.key == WATERMARK_KEY:
                    found[tp] = decode_note((record.value or b"").decode())
        left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    return found

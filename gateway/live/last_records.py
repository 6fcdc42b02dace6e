"""The end of the log as the place where a reader begins: it knows the last record of each partition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Place
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.record_identity import RecordMark, mark_of, short_digest

LOOK_BACK = 200  # offsets: markers of transactions stand behind the last record
_POLL_MS = 250
_TIMEOUT_S = 4.0  # of the 5 s that a stream waits for its headers


async def read_from_the_end(
    consumer: AIOKafkaConsumer, watch: LeaderWatch, topic: str, mark: bytes, partitions: int
) -> tuple[ReadSoFar, dict[TopicPartition, RecordMark]]:
    """All that there is counts as read; the marks are those of the last records. The consumer is placed anywhere.

    Raises KafkaError or TimeoutError.
    """
    every = [TopicPartition(topic, p) for p in range(partitions)]
    ends = await consumer.end_offsets(every)
    records = await _last_records(consumer, ends)
    places = [Place(ends[partition]) for partition in every]
    marks: dict[TopicPartition, RecordMark] = {}
    for partition, record in records.items():
        end, found = ends[partition], cast("Any", record)
        places[partition.partition] = Place(end, end - record.offset, short_digest(found))
        marks[partition] = mark_of(found, watch.epoch_at(partition, record.offset))
    for partition, end in ends.items():
        watch.doubts(partition, end)  # what was just read of this leader need not be compared with its log
    newest_ms = max((record.timestamp for record in records.values()), default=0)
    return ReadSoFar(mark, places, newest_ms), marks


async def _last_records(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, ConsumerRecord[bytes, bytes]]:
    starts = await consumer.beginning_offsets(list(ends))
    found: dict[TopicPartition, ConsumerRecord[bytes, bytes]] = {}
    async with asyncio.timeout(_TIMEOUT_S):
        for look_back in (1, LOOK_BACK):
            begins = {
                tp: max(starts[tp], end - look_back) for tp, end in ends.items() if tp not in found and starts[tp] < end
            }
            await _read(consumer, begins, ends, found)
    return found


async def _read(
    consumer: AIOKafkaConsumer,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    found: dict[TopicPartition, ConsumerRecord[bytes, bytes]],
) -> None:
    if begins:
        consumer.assign(list(begins))
    for partition, begin in begins.items():
        consumer.seek(partition, begin)
    left = set(begins)
    while left:
        for partition, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
            for record in records:
                if record.offset < ends[partition]:
                    found[partition] = record
        left = {partition for partition in left if await consumer.position(partition) < ends[partition]}

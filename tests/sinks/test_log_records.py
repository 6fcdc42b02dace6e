"""A stretch of a log is read to its end, also when a broker is slow, and behind markers that no fetch returns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from axonstream.kafka.client import kafka_options
from axonstream.settings.settings import Settings
from axonstream.sinks.offsets import log_records
from axonstream.sinks.offsets.log_records import records_between
from kit.sink_process import pipeline

pytestmark = pytest.mark.services

RECORDS, WITH_MARKERS = 3, 6  # each is a transaction of its own


async def read(settings: Settings, tp: TopicPartition, empty_answers: int = 0) -> list[int]:
    consumer = AIOKafkaConsumer(**kafka_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    getmany = consumer.getmany
    left = empty_answers

    async def slow(*partitions: Any, **options: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            return {}
        return await getmany(*partitions, **options)

    consumer.getmany = slow  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return [record.offset async for record in records_between(consumer, tp, 0, WITH_MARKERS - 1)]
    finally:
        await consumer.stop()


def test_a_slow_fetch_is_no_end_and_markers_are(server_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer counted as the end of the log: what was stored behind it passed for lost on Kafka."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            tp = TopicPartition(pipe.topics.events, 0)
            options = kafka_options(server_settings)
            async with AIOKafkaProducer(**options, transactional_id=f"{tp.topic}-writes") as producer:
                for _ in range(RECORDS):
                    async with producer.transaction():
                        await producer.send_and_wait(tp.topic, b"x", partition=0)
            async with asyncio.timeout(60):
                assert await read(server_settings, tp) == [0, 2, 4]
                assert await read(server_settings, tp, empty_answers=3) == [0, 2, 4]
            monkeypatch.setattr(log_records, "PATIENCE_S", 0.0)
            with pytest.raises(KafkaError):
                await read(server_settings, tp, empty_answers=1 << 30)

    asyncio.run(story())

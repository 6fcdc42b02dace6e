"""What a reader of trace-summaries sees while faults are injected: it must never go back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.contract.step_record import is_step_key
from axonstream.kafka.topics import WATERMARK_KEY, Topics
from axonstream.settings.settings import Settings

Segment = tuple[bytes, int]  # state key, first offset


@dataclass
class SummariesWatch:
    """Merges by highest last offset, as every reader does. `went_back` holds each segment that counted less later."""

    settings: Settings
    consumer: AIOKafkaConsumer
    folded: dict[int, int] = field(default_factory=dict[int, int])
    latest: dict[Segment, dict[str, Any]] = field(default_factory=dict[Segment, dict[str, Any]])
    went_back: list[tuple[dict[str, Any], dict[str, Any]]] = field(
        default_factory=list[tuple[dict[str, Any], dict[str, Any]]]
    )

    async def read(self) -> None:
        while True:
            fetched = await self.consumer.getmany(timeout_ms=200)
            for record in (record for records in fetched.values() for record in records):
                assert record.key is not None
                self._see(record.partition, record.key, orjson.loads(record.value or b""))

    def _see(self, partition: int, key: bytes, value: dict[str, Any]) -> None:
        if is_step_key(key):
            return
        if key == WATERMARK_KEY:
            self.folded[partition] = max(self.folded.get(partition, 0), value["folded"])
            return
        known = self.latest.get((key, value["first_offset"]))
        if known is None or value["last_offset"] >= known["last_offset"]:
            if known is not None and value["event_count"] < known["event_count"]:
                self.went_back.append((known, value))
            self.latest[key, value["first_offset"]] = value

    async def caught_up(self, within_s: float = 60) -> None:
        """Wait until the watermarks have passed what is on agent-events now."""
        topic = Topics(self.settings.topic_prefix).events
        partitions = [TopicPartition(topic, partition) for partition in range(self.settings.topic_partitions)]
        ends = {at.partition: end for at, end in (await self.consumer.end_offsets(partitions)).items()}
        deadline = monotonic() + within_s
        while any(self.folded.get(partition, 0) < end for partition, end in ends.items()):
            assert monotonic() < deadline, f"folded {self.folded} of {ends}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def summaries_watch(settings: Settings) -> AsyncGenerator[SummariesWatch]:
    """It reads all the time; a failure to read fails the test at the end."""
    topic = Topics(settings.topic_prefix).summaries
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, fetch_max_wait_ms=50) as consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in range(settings.topic_partitions)])
        await consumer.seek_to_beginning()
        watch = SummariesWatch(settings, consumer)
        reading = asyncio.create_task(watch.read())
        try:
            yield watch
        finally:
            if not reading.done():
                reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert reading.cancelled(), reading.exception()

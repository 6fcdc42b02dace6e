"""A publisher from elsewhere may compress its batches in any way that Kafka knows."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.processor_process import processor
from kit.sample_events import event_value
from kit.sink_process import pipeline, sink

pytestmark = pytest.mark.services

CODECS = ("gzip", "snappy", "lz4", "zstd")
EVENTS = 20


async def publish(settings: Settings, codec: str, trace: str) -> None:
    topic = Topics(settings.topic_prefix).events
    async with AIOKafkaProducer(**kafka_options(settings), compression_type=codec, linger_ms=20) as other:
        batch = [other.send_and_wait(topic, event_value(trace, number), key=trace.encode()) for number in range(EVENTS)]
        await asyncio.gather(*batch)


def test_compressed_events_are_stored_and_folded(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            traces = {codec: f"tr_{codec}_{uuid4().hex}" for codec in CODECS}
            with processor(server_settings), sink(server_settings):
                for codec, trace in traces.items():
                    await publish(server_settings, codec, trace)
                await pipe.until("SELECT count() FROM events", EVENTS * len(CODECS))
                await pipe.until("SELECT countIf(event_count = 20 AND exact) FROM traces", len(CODECS))

    asyncio.run(story())

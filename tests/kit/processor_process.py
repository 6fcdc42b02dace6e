"""A processor as its own process, and what it wrote to Kafka."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from axonstream.contract.event_record import encode_event
from axonstream.contract.step_record import StepRecord, decode_step, is_step_key
from axonstream.event_contract import EventInput
from axonstream.kafka.topics import WATERMARK_KEY, Topics, event_key
from axonstream.settings.settings import Settings
from kit.printed import end, read_on

RUN = """from axonstream.settings.settings import Settings
from axonstream.stream_processors.worker import run
run(Settings())
"""
Record = tuple[int, int, bytes, dict[str, Any]]  # partition, offset, key, value


def start_processor(settings: Settings, *command: str) -> subprocess.Popen[str]:
    """Not waited for; the caller ends it."""
    environment = {
        **os.environ,
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "AXONSTREAM_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "AXONSTREAM_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
        "AXONSTREAM_PROCESSOR_INSTANCE": settings.processor_instance
        or "processor-0",  # started again, it takes over at once
        "AXONSTREAM_TRACE_IDLE_S": str(settings.trace_idle_s),
        "AXONSTREAM_MAX_LIVE_TRACES": str(settings.max_live_traces),
        "AXONSTREAM_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen(command or (sys.executable, "-c", RUN), env=environment, stdout=subprocess.PIPE, text=True)


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Raises AssertionError when it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if "ready processor" in line:
            read_on(process)
            return
    raise AssertionError(f"the processor ended with {process.wait()} before it was ready")


@contextmanager
def processor(settings: Settings, *command: str) -> Generator[subprocess.Popen[str]]:
    """A processor that has said that it is ready; killed at the end if it still runs."""
    process = start_processor(settings, *command)
    try:
        wait_until_ready(process)
        yield process
    finally:
        end(process)


@dataclass
class EventsTopic:
    """Publishes events and knows what is stored, by partition and offset."""

    settings: Settings
    producer: AIOKafkaProducer
    stored: list[Record] = field(default_factory=list[Record])
    ends: dict[int, int] = field(default_factory=dict[int, int])
    steps: dict[bytes, StepRecord] = field(default_factory=dict[bytes, StepRecord])  # as each was said last

    async def publish(self, number: int, trace_id: str, dedup_key: str | None = None, **fields: Any) -> None:
        event = EventInput(
            identifier=f"step {number}", payload={"n": number}, channel_id=1, dedup_key=dedup_key, **fields
        )
        encoded = encode_event(
            event, tenant_id="1", trace_id=trace_id, fresh_id=number, now_ms=1_700_000_000_000 + number
        )
        await self.put(event_key(trace_id), encoded.value)

    async def put(self, key: bytes, value: bytes) -> None:
        topic = Topics(self.settings.topic_prefix).events
        at = await self.producer.send_and_wait(topic, value, key=key)
        self.ends[at.partition] = at.offset + 1
        arrived = {"received_at": at.timestamp}  # by the clock of the broker
        self.stored.append((at.partition, at.offset, key, orjson.loads(value) | arrived))

    async def output(self, *, deadline_s: float = 60) -> list[Record]:
        """All but steps on trace-summaries, once the watermarks have passed every event that was published."""
        partitions = range(self.settings.topic_partitions)
        topic = Topics(self.settings.topic_prefix).summaries
        behind = dict.fromkeys(partitions, 0) | self.ends
        output: list[Record] = []
        servers = self.settings.kafka_bootstrap_servers
        async with AIOKafkaConsumer(bootstrap_servers=servers, fetch_max_wait_ms=50) as consumer:
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
            await consumer.seek_to_beginning()
            async with asyncio.timeout(deadline_s):
                while behind:
                    fetched = await consumer.getmany(timeout_ms=1000)
                    for record in (record for records in fetched.values() for record in records):
                        assert record.key is not None
                        assert record.value is not None
                        value = orjson.loads(record.value)
                        if is_step_key(record.key):
                            step = decode_step(record.value)
                            known = self.steps.get(record.key)
                            if known is None or step.version >= known.version:
                                self.steps[record.key] = step
                            continue
                        output.append((record.partition, record.offset, record.key, value))
                        if record.key == WATERMARK_KEY and value["folded"] >= behind.get(record.partition, 1 << 63):
                            del behind[record.partition]
        return output


@asynccontextmanager
async def events_topic(settings: Settings) -> AsyncGenerator[EventsTopic]:
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True
    ) as producer:
        yield EventsTopic(settings, producer)

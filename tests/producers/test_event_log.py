"""The event log on a real broker whose answers are lost, late, or a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from kit.log_ends import records_on_kafka
from kit.lost_answers import Answers, lost_answers
from producers.errors import NotAcknowledgedError
from producers.event_log import EventLog
from producers.event_record import EventRecord
from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics

pytestmark = pytest.mark.services

TIMEOUT_MS = 5000
SHORT_TIMEOUT_MS = 500
LATE_S = 1.5  # beyond the deadline, on a busy machine
SMALLEST_LIMIT_BYTES = 1000


@asynccontextmanager
async def event_log(settings: Settings, **changes: object) -> AsyncGenerator[EventLog]:
    log = EventLog.from_settings(settings.model_copy(update={"publish_timeout_ms": TIMEOUT_MS} | changes))
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def record(value: bytes) -> EventRecord:
    return EventRecord(event_id=1, trace_id="tr_1", occurred_at=0, received_at=0, value=value)


async def values_on_kafka(settings: Settings) -> list[bytes]:
    async with AIOKafkaConsumer(
        Topics(settings.topic_prefix).events, **kafka_options(settings), auto_offset_reset="earliest"
    ) as consumer:
        return [(await consumer.getone()).value or b"" for _ in range(await records_on_kafka(settings))]


def test_a_record_whose_acknowledgement_was_lost_is_stored_once(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with lost_answers(server_settings.kafka_bootstrap_servers) as proxy:
            async with event_log(server_settings, kafka_bootstrap_servers=proxy.address) as log:
                await log.append([record(b"first")])
                proxy.answers = Answers.LOSE_NEXT
                await log.append([record(b"second")])
                await log.append([record(b"third")])
            assert proxy.lost == 1
        assert await values_on_kafka(server_settings) == [b"first", b"second", b"third"]

    asyncio.run(scenario())


def test_an_append_that_is_not_acknowledged_ends_at_its_deadline(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with lost_answers(server_settings.kafka_bootstrap_servers) as proxy:
            behind = {"kafka_bootstrap_servers": proxy.address, "publish_timeout_ms": SHORT_TIMEOUT_MS}
            async with event_log(server_settings, **behind) as log:
                await log.append([record(b"first")])
                proxy.answers = Answers.HOLD
                began = monotonic()
                with pytest.raises(NotAcknowledgedError):
                    async with asyncio.timeout(20):
                        await log.append([record(b"second")])
                assert monotonic() - began < SHORT_TIMEOUT_MS / 1000 + LATE_S
                assert proxy.lost
                proxy.answers = Answers.PASS

    asyncio.run(scenario())


def test_after_a_batch_that_the_broker_refused_the_next_append_succeeds(server_settings: Settings) -> None:
    """The batch leaves a hole in the sequence numbers of its producer, and the broker takes nothing after a hole."""

    async def scenario() -> None:
        await take_only_small_records(server_settings)
        async with event_log(server_settings) as log:
            await log.append([record(b"first")])
            for _ in range(3):
                with pytest.raises(NotAcknowledgedError, match="MessageSizeTooLarge"):
                    await log.append([record(b"x" * 2 * SMALLEST_LIMIT_BYTES)])
                await log.append([record(b"next")])
        assert await values_on_kafka(server_settings) == [b"first", *[b"next"] * 3]

    asyncio.run(scenario())


async def take_only_small_records(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        limit = {"max.message.bytes": str(SMALLEST_LIMIT_BYTES)}
        topic = Topics(settings.topic_prefix).events
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, limit)])
    finally:
        await admin.close()

"""The event log on a real broker whose answers are lost, late, or a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from axonstream.contract.event_record import EventRecord
from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import Topics
from axonstream.producers.append_counts import Backlog
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from kit.log_ends import records_on_kafka
from kit.lost_answers import Answers, lost_answers
from kit.until import until

pytestmark = pytest.mark.services

TIMEOUT_MS = 60_000
SHORT_TIMEOUT_MS = 4000  # the first append must be within it
LATE_S = 10.0  # beyond the deadline, on a busy machine
SMALLEST_LIMIT_BYTES = 1000


@asynccontextmanager
async def event_log(settings: Settings, **changes: object) -> AsyncGenerator[EventLog]:
    log = EventLog.from_settings(settings.model_copy(update={"publish_timeout_ms": TIMEOUT_MS} | changes))
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def record(value: bytes, trace: str = "tr_1") -> EventRecord:
    return EventRecord(event_id=1, trace_id=trace, occurred_at=0, received_at=0, value=value)


async def under_way() -> None:
    """What has been appended is on its way after two turns of the event loop; an answer takes longer."""
    for _ in range(2):
        await asyncio.sleep(0)


def counted(log: EventLog) -> tuple[int, int, int, int]:
    counts = log.counts
    return sum(counts.acknowledgement.counts), counts.events, counts.refused_batches, counts.replaced_producers


async def values_on_kafka(settings: Settings) -> list[bytes]:
    async with AIOKafkaConsumer(
        Topics(settings.topic_prefix).events, **kafka_options(settings), auto_offset_reset="earliest"
    ) as consumer:
        return [(await consumer.getone()).value or b"" for _ in range(await records_on_kafka(settings))]


def test_an_append_says_when_kafka_took_its_record_also_when_it_was_sent_twice(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with lost_answers(server_settings.kafka_bootstrap_servers) as proxy:
            async with event_log(server_settings, kafka_bootstrap_servers=proxy.address) as log:
                times = [await log.append([record(b"first")])]
                proxy.answers = Answers.LOSE_NEXT
                times += [await log.append([record(b"second")]), await log.append([record(b"third")])]
            assert proxy.lost == 1
        topic = Topics(server_settings.topic_prefix).events
        options = kafka_options(server_settings)
        async with AIOKafkaConsumer(topic, **options, auto_offset_reset="earliest") as consumer:
            assert times == [(await consumer.getone()).timestamp for _ in times]

    asyncio.run(scenario())


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
                    async with asyncio.timeout(60):
                        await log.append([record(b"second")])
                assert monotonic() - began < SHORT_TIMEOUT_MS / 1000 + LATE_S
                assert proxy.lost
                assert counted(log)[:2] == (1, 1)
                proxy.answers = Answers.PASS

    asyncio.run(scenario())


def test_what_is_not_acknowledged_is_told_as_long_as_it_is_not(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with (
            lost_answers(server_settings.kafka_bootstrap_servers) as proxy,
            event_log(server_settings, kafka_bootstrap_servers=proxy.address, publish_timeout_ms=15_000) as log,
        ):
            await log.append([record(b"first")])
            assert log.backlog() == Backlog(0, 0, 0, 0)
            proxy.answers = Answers.HOLD
            sent = asyncio.create_task(log.append([record(b"sent")]))
            await until(lambda: proxy.lost > 0, "an answer is held", 60)
            waiting = [asyncio.create_task(log.append([record(b"waits"), record(b"too")])) for _ in range(2)]
            await under_way()
            assert log.backlog() == Backlog(callers=3, events=4, event_bytes=2 * len(b"waitstoo"), batches=1)
            proxy.answers = Answers.PASS
            for appending in (sent, *waiting):
                with suppress(NotAcknowledgedError):  # its answer was held too long
                    await appending
            assert log.backlog().callers == 0

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
            assert counted(log) == (4, 4, 3, 3)
        assert await values_on_kafka(server_settings) == [b"first", *[b"next"] * 3]

    asyncio.run(scenario())


def test_a_refused_batch_fails_its_own_callers_alone(server_settings: Settings) -> None:
    """Neither those whose batch goes with the same request, nor those that wait behind it, are told of its error."""
    partitions = server_settings.topic_partitions
    refused = partition_of(b"tr_1", partitions)
    elsewhere = next(f"tr_{n}" for n in count() if partition_of(f"tr_{n}".encode(), partitions) != refused)

    async def scenario() -> None:
        await take_only_small_records(server_settings)
        async with event_log(server_settings) as log:
            await log.append([record(b"first")])
            large = asyncio.create_task(log.append([record(b"x" * 2 * SMALLEST_LIMIT_BYTES)]))
            beside = asyncio.create_task(log.append([record(b"beside", elsewhere)]))
            await under_way()
            behind = [asyncio.create_task(log.append([record(b"%d" % number)])) for number in range(3)]
            with pytest.raises(NotAcknowledgedError, match="MessageSizeTooLarge"):
                await large
            await asyncio.gather(beside, *behind)
        assert sorted(await values_on_kafka(server_settings)) == [b"0", b"1", b"2", b"beside", b"first"]

    asyncio.run(scenario())


def test_a_caller_that_goes_away_takes_nothing_from_the_others(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with event_log(server_settings) as log:
            await log.append([record(b"first")])
            sent = asyncio.create_task(log.append([record(b"under way")]))
            beside = asyncio.create_task(log.append([record(b"beside")]))
            await under_way()
            waiting = asyncio.create_task(log.append([record(b"never sent")]))
            last = asyncio.create_task(log.append([record(b"last")]))
            await asyncio.sleep(0)
            sent.cancel()
            waiting.cancel()
            await asyncio.gather(beside, last)
        assert await values_on_kafka(server_settings) == [b"first", b"under way", b"beside", b"last"]

    asyncio.run(scenario())


def test_a_trace_stays_in_order_among_many_callers(server_settings: Settings) -> None:
    traces, events = 40, 25

    async def one_trace(log: EventLog, trace: int) -> None:
        for number in range(events):
            value = [b"%d %d %d" % (trace, number, part) for part in range(2)]
            await log.append([record(one, f"tr_{trace}") for one in value])

    async def scenario() -> None:
        async with event_log(server_settings) as log:
            await asyncio.gather(*(one_trace(log, trace) for trace in range(traces)))
        stored = [tuple(map(int, value.split())) for value in await values_on_kafka(server_settings)]
        assert len(stored) == traces * events * 2
        for trace in range(traces):
            of_trace = [place for place in stored if place[0] == trace]
            assert of_trace == sorted(of_trace)

    asyncio.run(scenario())


def test_stopping_waits_for_what_is_under_way(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with event_log(server_settings) as log:
            appends = [asyncio.create_task(log.append([record(b"%d" % number)])) for number in range(3)]
            await asyncio.sleep(0)
        assert [task.done() and task.exception() for task in appends] == [None] * 3
        assert len(await values_on_kafka(server_settings)) == 3

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

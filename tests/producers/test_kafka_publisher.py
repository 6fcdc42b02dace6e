"""KafkaPublisher on the real broker: the HTTP publisher's contract, straight to Kafka."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from axonstream import AxonPush, EventInput, KafkaPublisher, PayloadTooLargeError, ValidationError, get_or_create_trace
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.errors import NotAcknowledgedError, TopicMismatchError
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

pytestmark = pytest.mark.services


def publisher_of(settings: Settings, **options: Any) -> KafkaPublisher:
    topic = Topics(settings.topic_prefix).events
    return KafkaPublisher(bootstrap_servers=settings.kafka_bootstrap_servers, tenant_id="1", topic=topic, **options)


async def records_of(settings: Settings, count: int) -> list[Any]:
    consumer: Any = AIOKafkaConsumer(
        Topics(settings.topic_prefix).events,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


def events_of(records: list[Any]) -> list[dict[str, Any]]:
    events = [validate_record(record.key, record.value) for record in records]
    assert [event for event in events if isinstance(event, ValidationFailure)] == []
    return [orjson.loads(record.value) for record in records]


def test_what_it_publishes_is_valid_and_ordered_within_its_trace(server_settings: Settings) -> None:
    async def run() -> None:
        trace = get_or_create_trace("tr_direct")
        async with publisher_of(server_settings) as publisher:
            await publisher.publish("first", {"a": 2**70}, 1, span_id=trace.next_span_id(), event_type="agent.start")
            many = [
                {"identifier": f"n{n}", "payload": {}, "channel_id": 1, "trace_id": "tr_direct"} for n in range(100)
            ]
            await publisher.publish_many(many)
            await publisher.publish_many([EventInput(identifier="last", payload={}, channel_id=1)])
        records = await records_of(server_settings, 102)
        assert [event["identifier"] for event in events_of(records)] == [
            "first",
            *(f"n{n}" for n in range(100)),
            "last",
        ]
        assert str(2**70).encode() in records[0].value
        assert len({record.partition for record in records}) == 1

    asyncio.run(run())


def test_buffered_events_are_bounded_and_flushed(server_settings: Settings) -> None:
    async def run() -> None:
        async with publisher_of(server_settings, max_buffered_bytes=2000) as publisher:
            for number in range(200):
                await publisher.publish("x", {"n": number}, 1, trace_id="tr_buffered", wait=False)
                assert publisher.buffered_bytes <= 2000
            await publisher.flush()
            assert publisher.buffered_bytes == 0
        events = events_of(await records_of(server_settings, 200))
        assert [event["payload"]["n"] for event in events] == list(range(200))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"identifier": ""}, "identifier"),
        ({"payload": "text"}, "payload"),
        ({"channel_id": -1}, "channel_id"),
        ({"event_type": "Not Allowed"}, "event"),
        ({"payload": {"x": "y" * (1 << 20)}}, "larger"),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused_by_name_and_not_sent(
    fields: dict[str, Any], named: str, server_settings: Settings
) -> None:
    async def run() -> None:
        async with publisher_of(server_settings) as publisher:
            event: dict[str, Any] = {"identifier": "x", "payload": {}, "channel_id": 1, **fields}
            with pytest.raises((ValidationError, PayloadTooLargeError), match=named):
                await publisher.publish(**event)
            await publisher.publish("good", {}, 1, trace_id="tr_good")
        assert [event["identifier"] for event in events_of(await records_of(server_settings, 1))] == ["good"]

    asyncio.run(run())


def test_no_broker_is_an_error_and_not_a_success() -> None:
    async def run() -> None:
        publisher = KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id="1", timeout_ms=2000)
        with pytest.raises(NotAcknowledgedError):
            await publisher.publish("x", {}, 1)
        await publisher.close()

    asyncio.run(run())


def test_buffered_events_that_kafka_did_not_take_are_told_by_flush_even_after_a_flush_that_was_given_up() -> None:
    async def run() -> None:
        publisher = KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id="1", timeout_ms=1000)
        await publisher.publish("x", {}, 1, wait=False)
        given_up = asyncio.create_task(publisher.flush())
        await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])  # the flush has begun to wait by now
        given_up.cancel()
        await asyncio.wait([given_up])
        with pytest.raises(NotAcknowledgedError, match="1 buffered"):
            await publisher.flush()
        assert publisher.buffered_bytes == 0
        await publisher.close()

    asyncio.run(run())


def test_it_is_read_back_through_the_whole_way(stack_settings: Settings, gateway_url: str) -> None:
    async def publish() -> None:
        async with publisher_of(stack_settings) as publisher:
            for _ in range(2):  # the same event twice
                await publisher.publish(
                    "direct", {}, 1, trace_id="tr_beside", dedup_key="once", event_type="agent.error"
                )

    asyncio.run(publish())
    with AxonPush("ak_local", "1", base_url=gateway_url) as client:
        summary = client.traces.get_summary("tr_beside")
        assert (summary.total_events, summary.error_count) == (1, 1)
        assert [event.identifier for event in client.traces.get_events("tr_beside")] == ["direct"]


def test_topics_are_never_changed_in_place(server_settings: Settings) -> None:
    asyncio.run(make_topics(server_settings))
    other = server_settings.model_copy(update={"topic_partitions": 5})
    with pytest.raises(TopicMismatchError, match="AXONSTREAM_TOPIC_PARTITIONS"):
        asyncio.run(make_topics(other))

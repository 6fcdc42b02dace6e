"""A processor follows the prices: no topic yet, changes, a log that loses its end, a broker that is away."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from axonstream.contract.price_records import encode_price, price_key
from axonstream.contract.prices import Price
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors.price_follower import PriceFollower
from kit.cut_logs import lose_the_end
from kit.kafka_cluster import KafkaCluster
from kit.until import until

pytestmark = pytest.mark.services


def test_the_prices_are_those_of_the_topic_also_after_it_lost_its_end(
    one_broker: KafkaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(kafka_bootstrap_servers=one_broker.bootstrap_servers, topic_prefix=f"t{uuid4().hex[:8]}-")
    topic = Topics(settings.topic_prefix).control
    [broker] = one_broker.brokers.values()

    async def append(*pairs: tuple[bytes, bytes | None]) -> None:
        async with AIOKafkaProducer(**kafka_options(settings)) as producer:
            for key, value in pairs:
                await producer.send_and_wait(topic, value, key=key)

    async def until_there_are(follower: PriceFollower, *expected: Price) -> None:
        await until(lambda: list(follower.prices) == list(expected), lambda: f"not {list(follower.prices)}", 120)

    async def loaded(follower: PriceFollower) -> asyncio.Task[None]:
        task = asyncio.create_task(follower.run())
        async with asyncio.timeout(120):
            await follower.loaded()
        return task

    async def scenario() -> None:
        first, second, other = Price("a", 5, Decimal(1)), Price("a", 5, Decimal(2)), Price("b", 0, Decimal(3))
        follower = PriceFollower(settings)
        task = await loaded(follower)
        assert list(follower.prices) == [], "there is no topic yet"
        assert caplog.messages == [
            f"there is no topic {topic}: run `axonstream init`. Until then, no model has a price"
        ]

        await make_topics(settings)
        await append(encode_price(first), (b"app/1/7", b"{}"), encode_price(other))
        await until_there_are(follower, first, other)
        before = follower.prices
        await append(encode_price(second), (price_key("c", 0), b"junk"), (price_key("b", 0), None))
        await until_there_are(follower, second)
        assert list(before) == [first, other], "whoever holds a list sees no change of it"
        assert "a price of the control topic is left out: b'price/c/0'" in caplog.text

        # The junk and the tombstone of b are lost, and the log grows over their offsets.
        await lose_the_end(one_broker, topic, [0], 2)
        await append(*(encode_price(Price("d", at)) for at in range(3)))
        await until_there_are(follower, second, other, *(Price("d", at) for at in range(3)))

        broker.kill()
        await until(lambda: "cannot be read from the control topic" in caplog.text, "the outage is noticed", 120)
        assert follower.prices.find("a", 5) == second, "the last list stays"
        broker.start()
        await one_broker.until_ready()
        await append((price_key("a", 5), None))
        await until(lambda: follower.prices.find("a", 5) is None, "it is followed again", 120)

        fresh = PriceFollower(settings)
        of_fresh = await loaded(fresh)
        assert list(fresh.prices) == list(follower.prices), "all that was there is read before it says so"
        for one in (task, of_fresh):
            one.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([task, of_fresh])
        assert task.cancelled()
        assert of_fresh.cancelled()

    with caplog.at_level(logging.WARNING, "axonstream.stream_processors.price_follower"):
        asyncio.run(scenario())

"""The log changes under live streams: partitions are added, and records expire before the gateway has read them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from axonstream.kafka.topics import Topics, event_key
from kit.live_events import live
from kit.live_gateways import LiveGateways, live_gateways
from kit.live_load import BATCH, live_load
from kit.running_stack import HEADERS
from kit.sample_events import event_value

pytestmark = pytest.mark.services


@asynccontextmanager
async def admin_of(gateways: LiveGateways) -> AsyncGenerator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=gateways.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def test_a_partition_that_is_added_is_read_from_its_start(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        topic = Topics(gateways.settings.topic_prefix).events
        async with (
            httpx.AsyncClient(base_url=gateways.urls[0], timeout=60) as client,
            live(client, "/live") as stream,
            admin_of(gateways) as admin,
            AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer,
        ):

            async def send(trace: str, number: int, partition: int) -> None:
                await producer.send_and_wait(topic, event_value(trace, number), event_key(trace), partition)

            await send("tr_a", 1, 0)
            position = (await stream.next()).position
            await admin.create_partitions({topic: NewPartitions(total_count=3)})
            await producer.client.force_metadata_update()
            for number in (2, 3):
                await send("tr_b", number, number - 1)
            assert {received.data["id"] for received in await stream.take(2)} == {2, 3}
            for since, ids in ((position, {2, 3}), (stream.position, {4})):
                if ids == {4}:
                    await send("tr_c", 4, 2)
                async with live(client, "/live", since) as resumed:
                    assert {received.data["id"] for received in await resumed.take(len(ids))} == ids

    with live_gateways(kafka_bootstrap, partitions=1) as gateways:
        asyncio.run(scenario())


def test_a_position_behind_the_markers_of_transactions_is_resumed_from_without_a_gap(kafka_bootstrap: str) -> None:
    """The record that it names stands before them; also when retention has deleted all of it."""

    async def scenario() -> None:
        topic = Topics(gateways.settings.topic_prefix).events
        kafka: dict[str, Any] = {"bootstrap_servers": kafka_bootstrap, "transactional_id": topic}
        async with (
            httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client,
            admin_of(gateways) as admin,
            AIOKafkaProducer(**kafka) as producer,
        ):

            async def commit(number: int) -> None:
                async with producer.transaction():
                    await producer.send(topic, event_value("tr_a", number), event_key("tr_a"))

            async def position_at_the_end() -> str:
                async with live(client, "/live") as stream:
                    return stream.position

            async def is_resumed_from(position: str, number: int) -> None:
                await commit(number)
                async with live(client, "/live", position) as stream:
                    received = await stream.next()
                    assert (received.event, received.data["id"]) == ("message", number)

            await commit(1)
            await is_resumed_from(await position_at_the_end(), 2)
            await asyncio.to_thread(gateways.restart, 0)  # whose reader begins at the end
            position = await position_at_the_end()
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=4)})
            await is_resumed_from(position, 3)

    with live_gateways(kafka_bootstrap, partitions=1) as gateways:
        asyncio.run(scenario())


def test_what_expired_before_the_gateway_had_read_it_is_told_to_its_streams(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        topic = Topics(gateways.settings.topic_prefix).events
        async with (
            httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client,
            live(client, "/live") as stream,
            live_load(gateways.settings, 1000) as load,
            admin_of(gateways) as admin,
        ):
            gateways.processes[0].send_signal(signal.SIGSTOP)
            try:
                for _ in range(3):
                    await load.publish_batch()
                kept_from = 3 * BATCH - 5
                await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=kept_from)})
            finally:
                gateways.processes[0].send_signal(signal.SIGCONT)
            names: list[str] = []
            while (received := await stream.next()).event == "message":  # what was on its way already
                names.append(received.data["identifier"])
            assert names == load.acknowledged[: len(names)]
            assert received.data["reason"] == "expired"
            assert "missed" not in received.data
            rest = [received.data["identifier"] for received in await stream.take(5)]
            assert rest == load.acknowledged[-5:]

    with live_gateways(kafka_bootstrap, partitions=1) as gateways:
        asyncio.run(scenario())

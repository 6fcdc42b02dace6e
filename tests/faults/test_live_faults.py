"""Live streams under faults: whatever dies, a reader that resumes misses nothing and gets nothing twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import monotonic

import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from axonstream.kafka.topics import Topics
from kit.kafka_cluster import KafkaCluster
from kit.live_events import live
from kit.live_gateways import live_gateways
from kit.live_load import BATCH, Follower, LiveLoad, live_load
from kit.running_stack import HEADERS
from kit.scraped import Scraped
from kit.soak_report import FaultRow, SoakReport
from kit.until import until

pytestmark = pytest.mark.services

RATE = 2000


async def follow_while(load: LiveLoad, follower: Follower, fault: Callable[[], Awaitable[None]]) -> None:
    """Publish and follow at the load's rate, let `fault` happen, and see that all comes, once."""
    stop = asyncio.Event()
    following = asyncio.create_task(follower.follow())
    try:
        await asyncio.wait_for(follower.open.wait(), 20)
        publishing = asyncio.create_task(load.publish(stop))
        await follower.until_received(RATE // 2)
        await fault()
        stop.set()
        await publishing
        owed = set(load.acknowledged)
        await until(lambda: owed <= set(follower.received), "all received", 60)
    finally:
        following.cancel()
    follower.check(load)


def test_the_reader_of_a_killed_gateway_resumes_at_another(
    kafka_bootstrap: str, soak: bool, soak_report: SoakReport
) -> None:
    kills = 20 if soak else 2

    async def scenario() -> None:
        began = monotonic()
        follower = Follower(gateways.urls)

        async def kill_and_kill() -> None:
            for _ in range(kills):
                at = [follower.url.startswith(url) for url in gateways.urls].index(True)
                connections = follower.connections
                gateways.kill(at)
                await follower.until_connected(connections + 1)
                await follower.until_received(RATE // 2)
                await asyncio.to_thread(gateways.restart, at)

        async with live_load(gateways.settings, RATE) as load:
            await follow_while(load, follower, kill_and_kill)
        note = f"{len(load.acknowledged) / (monotonic() - began):.0f} events/s, {follower.connections} connections"
        soak_report.add(
            FaultRow(
                fault="kill the gateway of a live stream",
                injected=kills,
                acknowledged=len(load.acknowledged),
                stored=len(follower.received),
                seconds=round(monotonic() - began),
                note=note,
            )
        )
        assert follower.connections > kills
        assert follower.gaps == []

    with live_gateways(kafka_bootstrap, number=2) as gateways:
        asyncio.run(scenario())


def test_a_gateway_that_is_stopped_ends_its_streams_at_once_and_they_resume_elsewhere(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        follower = Follower(gateways.urls)

        async def stop() -> None:
            at = [follower.url.startswith(url) for url in gateways.urls].index(True)
            gateways.processes[at].send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(gateways.processes[at].wait, 10) == 0
            await follower.until_connected(2)

        async with live_load(gateways.settings, RATE) as load:
            await follow_while(load, follower, stop)

    with live_gateways(kafka_bootstrap, number=2) as gateways:
        asyncio.run(scenario())


def test_a_slow_reader_is_told_what_it_missed_and_can_have_it_all_and_slows_nobody(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        fast = Follower(gateways.urls)
        following = asyncio.create_task(fast.follow())
        await fast.open.wait()
        async with (
            httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client,
            live(client, "/live") as slow,
            live_load(gateways.settings, RATE, payload_bytes=20_000) as load,
        ):
            for number in range(1, 25):  # 19 MB, of which connections and ring hold a small part
                await load.publish_batch()
                await until(lambda number=number: len(fast.received) == number * BATCH, "the fast one has it", 60)
            names: list[str] = []
            while (received := await slow.next()).event == "message":
                names.append(received.data["identifier"])
            gap = received.data
            assert (gap["reason"], gap["resume"]) == ("slow", slow.position)
            missed = [name for name in fast.received if name not in set(names)]
            assert gap["missed"] == len(missed) > 0
            assert Scraped(await client.get("/metrics")).value("live_gaps_total", reason="slow") == 1
            await load.publish_batch()
            assert (await slow.next()).data["identifier"] == load.acknowledged[-BATCH]  # and goes on live
            async with live(client, "/live", gap["resume"]) as resumed:
                again = [received.data["identifier"] for received in await resumed.take(len(missed) + BATCH)]
            assert sorted(again) == sorted([*missed, *load.acknowledged[-BATCH:]])
        following.cancel()
        fast.check(load)
        assert fast.gaps == []

    with live_gateways(kafka_bootstrap, partitions=1, live_buffer_bytes=1 << 20) as gateways:
        asyncio.run(scenario())


def test_a_position_that_has_expired_is_said_and_the_rest_comes(kafka_bootstrap: str) -> None:
    async def scenario() -> None:
        topic = Topics(gateways.settings.topic_prefix).events
        async with (
            httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client,
            live_load(gateways.settings, RATE) as load,
        ):
            async with live(client, "/live") as stream:
                await load.publish_batch()
                first = (await stream.next()).position
                await stream.take(BATCH - 1)
            await load.publish_batch()
            admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
            await admin.start()
            try:
                await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=BATCH + 5)})
            finally:
                await admin.close()
            async with live(client, "/live", first) as stream:
                gap = await stream.next()
                assert (gap.event, gap.data["reason"]) == ("gap", "expired")
                assert "missed" not in gap.data
                names = [received.data["identifier"] for received in await stream.take(BATCH - 5)]
            assert names == load.acknowledged[BATCH + 5 :]
            assert Scraped(await client.get("/metrics")).value("live_gaps_total", reason="expired") == 1
            async with live(client, "/live", gap.data["resume"]) as stream:
                assert (await stream.next()).data["identifier"] == names[0]

    with live_gateways(kafka_bootstrap, partitions=1) as gateways:
        asyncio.run(scenario())


def test_a_stream_outlives_a_restart_of_kafka(one_broker: KafkaCluster) -> None:
    [broker] = one_broker.brokers.values()

    async def scenario() -> None:
        follower = Follower(gateways.urls)

        async def restart() -> None:
            broker.kill()
            async with (
                httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client,
                live(client, "/live", follower.position) as resumed,  # which catches up once Kafka is back
            ):
                await resumed.comment()
                await resumed.comment()
                broker.start()
                await one_broker.until_ready()
                assert (await resumed.next(60)).event == "message"
            await follower.until_received(RATE // 4)

        async with live_load(gateways.settings, RATE // 2) as load:
            await follow_while(load, follower, restart)
        assert (follower.connections, follower.gaps) == (1, [])

    with live_gateways(one_broker.bootstrap_servers) as gateways:
        try:
            asyncio.run(scenario())
        finally:
            if broker.ended():
                broker.start()


def test_without_kafka_a_first_stream_is_refused_for_now(one_broker: KafkaCluster) -> None:
    [broker] = one_broker.brokers.values()

    async def scenario() -> None:
        broker.freeze()
        try:
            async with httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client:
                answer = await client.get("/live")
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        finally:
            broker.thaw()
        async with httpx.AsyncClient(base_url=gateways.urls[0], headers=HEADERS, timeout=60) as client:

            async def opens() -> bool:
                async with client.stream("GET", "/live") as response:
                    return response.status_code == 200

            await until(opens, "the stream opens", 60)

    with live_gateways(one_broker.bootstrap_servers) as gateways:
        asyncio.run(scenario())

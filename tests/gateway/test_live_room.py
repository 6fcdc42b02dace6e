"""Many streams at once, and streams that come while the reader of the log ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.catch_up import CatchUps
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.position import Position
from axonstream.gateway.live.reader import LiveReader
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.log_guard import LogGuard
from kit.live_gateways import live_gateways
from kit.running_stack import HEADERS
from kit.sample_events import event_value
from kit.scraped import Scraped
from kit.until import until

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
pytestmark = pytest.mark.services


def test_streams_that_wait_for_kafka_together_do_not_pass_the_limit(kafka_bootstrap: str) -> None:
    async def scenario(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            requests = [client.build_request("GET", "/live", headers=HEADERS) for _ in range(8)]
            answers = await asyncio.gather(*(client.send(request, stream=True) for request in requests))
            assert sorted(answer.status_code for answer in answers) == [200] * 2 + [503] * 6
            for answer in answers:
                await answer.aclose()

    with live_gateways(kafka_bootstrap, live_max_streams=2, live_max_streams_of_tenant=2) as gateways:
        asyncio.run(scenario(gateways.urls[0]))


def test_a_tenant_that_opens_all_streams_it_can_leaves_room_for_two_others(kafka_bootstrap: str) -> None:
    """S10: 60 streams of one tenant took all that a gateway has, and the next tenant got 503."""

    async def opened(client: httpx.AsyncClient, stack: AsyncExitStack, headers: dict[str, str]) -> int:
        for number in range(100):
            answer = await stack.enter_async_context(client.stream("GET", f"/live?agent={number}", headers=headers))
            if answer.status_code != 200:
                assert answer.status_code == 429
                assert int(answer.headers["Retry-After"]) >= 1
                await answer.aread()
                assert "of this tenant" in answer.json()["message"]
                return number
        raise AssertionError("no end")

    async def scenario(url: str) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            async with AsyncExitStack() as stack:
                assert await opened(client, stack, HEADERS) == 15
                assert await opened(client, stack, OTHER) == 3

            async def all_closed() -> bool:
                return Scraped(await client.get("/metrics")).value("live_streams") == 0

            await until(all_closed, "the streams are closed", 60)
            async with AsyncExitStack() as stack:  # what ends is given back
                assert await opened(client, stack, OTHER) == 15

    with live_gateways(kafka_bootstrap, live_max_streams=20) as gateways:
        asyncio.run(scenario(gateways.urls[0]))


def test_a_stream_that_opens_while_the_idle_reader_ends_is_not_ended_with_it(server_settings: Settings) -> None:
    async def scenario() -> None:
        lost: list[str] = []
        reader = LiveReader(server_settings, lost.append, lambda *_: None)
        await reader.started()
        ending = reader._task
        assert ending is not None
        reader._stop_if_idle()
        await reader.started()
        cursor = reader.open(LiveFilter("1"), ApiVersion.V0, resumes=False)
        await asyncio.wait([ending])
        await asyncio.sleep(0)
        assert lost == []
        reader.close(cursor)
        await reader.stop()

    asyncio.run(scenario())


def test_what_was_fetched_is_delivered_however_long_its_comparison_with_the_log_takes(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the reader looks for markers of transactions, which it tells by how far its consumer has come."""
    monkeypatch.setattr("axonstream.gateway.live.reader._LOOK_S", 0.02)
    looks = 0
    ends = LiveReader.ends_or_none

    async def counted(self: LiveReader) -> dict[int, int]:
        nonlocal looks
        looks += 1
        return await ends(self)

    async def slow(self: LogGuard, records: Mapping[TopicPartition, Sequence[object]]) -> None:
        if records:
            before = looks
            await until(lambda: looks > before + 2, "the reader has looked", 20)

    monkeypatch.setattr(LiveReader, "ends_or_none", counted)
    monkeypatch.setattr(LogGuard, "fetched", slow)

    async def scenario() -> None:
        reader = LiveReader(server_settings, lambda _: None, lambda *_: None)
        await reader.started()
        cursor = reader.open(LiveFilter("1"), ApiVersion.V0, resumes=False)
        async with AIOKafkaProducer(**kafka_options(server_settings)) as producer:
            topic = Topics(server_settings.topic_prefix).events
            await producer.send_and_wait(topic, event_value("tr_1", 7), event_key("tr_1"))
        await until(lambda: not cursor.at_end, "the event has come", 20)
        reader.close(cursor)
        await reader.stop()

    asyncio.run(scenario())


def test_streams_of_one_tenant_that_catch_up_hold_up_no_other(server_settings: Settings) -> None:
    async def scenario() -> None:
        reader = LiveReader(server_settings, lambda _: None, lambda *_: None)
        await reader.started()
        catch_ups = CatchUps(server_settings, reader, at_once=4, counts=LiveCounts())

        async def slow() -> None:
            async with catch_ups.turns.turn("1"):
                await asyncio.Event().wait()

        held = [asyncio.create_task(slow()) for _ in range(4)]
        await asyncio.sleep(0)
        wanted = LiveFilter("2", trace_id="t")
        cursor = reader.open(wanted, ApiVersion.V0, resumes=True)
        since = Position(wanted.kind, {p: reader.read.place(p) for p in reader.read.places(wanted)})
        catch_up = catch_ups.begin(cursor, since, positions=False)
        async with asyncio.timeout(60):
            while await catch_up.next(1) is not None:
                pass
        await catch_up.stop()
        reader.close(cursor)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        await reader.stop()

    asyncio.run(scenario())


def test_a_reader_that_no_stream_was_opened_for_stops(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axonstream.gateway.live.reader.IDLE_S", 0.05)

    async def scenario() -> None:
        reader = LiveReader(server_settings, lambda _: None, lambda *_: None)
        await reader.started()
        task = reader._task
        assert task is not None
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()

    asyncio.run(scenario())

"""`appId` of events: the app that the event's channel has now, in every answer that shows events, of its own tenant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gateway_in_process import gateway_in_process
from stored_by_hand import event, store, summary

from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.records import Channel, ControlRecord, Kind, Place
from axonstream.settings.settings import Settings
from kit.live_events import live
from kit.live_gateways import LiveGateways, live_gateways
from kit.offline_gateway import HEADERS, OfflineGateway

EARLY_OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
RECENT = {"x-axonpush-api-key": "ak_local"}
RECENT_OTHER = {"x-axonpush-api-key": "ak_other"}
EVENT: dict[str, Any] = {"identifier": "a", "payload": {}}
AT = time.time_ns() // 1_000_000 - 60_000


def made(offline: OfflineGateway, path: str, headers: dict[str, str] = HEADERS, **fields: object) -> int:
    return offline.send("POST", path, json={"name": "n", **fields}, headers=headers).json()["id"]


def published(offline: OfflineGateway, channel: int, headers: dict[str, str] = HEADERS) -> object:
    return offline.send("POST", "/event", json=EVENT | {"channel_id": channel}, headers=headers).json()["appId"]


def test_a_publish_answers_the_app_of_its_channel_in_the_senders_generation(offline: OfflineGateway) -> None:
    app = made(offline, "/apps")
    channel = made(offline, "/channel", appId=app)
    assert [published(offline, channel), published(offline, channel, RECENT)] == [app, str(app)]


@pytest.mark.parametrize("channel", [1, 2, 57])
def test_what_is_published_to_a_channel_that_nobody_made_is_of_the_default_app(
    offline: OfflineGateway, channel: int
) -> None:
    assert [published(offline, channel), published(offline, channel, RECENT)] == [1, "1"]


def test_a_channel_that_moved_takes_its_events_along(offline: OfflineGateway) -> None:
    first, second = made(offline, "/apps"), made(offline, "/apps")
    channel = made(offline, "/channel", appId=first)
    assert published(offline, channel) == first
    assert offline.send("PUT", f"/channel/{channel}", json={"appId": second}).status_code == 200
    assert published(offline, channel) == second


def test_the_channel_of_another_tenant_with_the_same_id_says_nothing(offline: OfflineGateway) -> None:
    theirs = made(offline, "/apps", EARLY_OTHER)
    channel = made(offline, "/channel", EARLY_OTHER, appId=theirs)
    assert published(offline, channel) == 1
    assert published(offline, channel, EARLY_OTHER) == theirs


def test_of_a_channel_that_was_made_twice_the_one_that_shows_decides() -> None:
    data = ControlData()
    by_hand, by_publishing = Place(Kind.CHANNEL, "1", 5), Place(Kind.PUBLISHED_CHANNEL, "1", 5)
    data.apply(ControlRecord(by_hand, Channel(5, 77, "c", 0, 0)))
    data.apply(ControlRecord(by_publishing, Channel(5, 1, "c", 0, 0)))
    assert data.app_of("1", 5) == 77
    data.apply(ControlRecord(by_hand, None))
    assert data.app_of("1", 5) == 1
    data.apply(ControlRecord(by_publishing, None))
    assert [data.app_of("1", 5), data.app_of("2", 5), data.app_of("2", 1)] == [None, None, None]


@pytest.mark.services
def test_every_list_of_events_shows_the_app(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with gateway_in_process(server_settings) as client:

            async def make(path: str, headers: dict[str, str] = HEADERS, **fields: object) -> int:
                return (await client.post(path, json={"name": "n", **fields}, headers=headers)).json()["id"]

            async def rows(path: str, headers: dict[str, str]) -> list[Any]:
                found = (await client.get(path, headers=headers)).json()
                listed = found if isinstance(found, list) else found.get("events") or found["spans"]
                return [row["appId"] for row in listed]

            app, theirs = await make("/apps"), await make("/apps", EARLY_OTHER)
            channel, gone = await make("/channel", appId=app), await make("/channel", appId=app)
            other = await make("/channel", EARLY_OTHER, appId=theirs)
            assert (await client.delete(f"/channel/{gone}", headers=HEADERS)).status_code == 200
            channels = [channel, gone, other, 1]
            stored = [event("t1", n, AT + n, channel_id=number) for n, number in enumerate(channels)]
            stored += [event("t1", 10 + n, AT + n, channel_id=n_, tenant_id="2") for n, n_ in enumerate(channels)]
            await store(server_settings, stored, [summary("t1", AT, event_count=4, last_offset=3)])

            of_trace = ["/traces/t1/summary", "/traces/t1/events", "/traces/t1"]
            for path in of_trace:
                assert await rows(path, HEADERS) == [app, None, None, 1]
                assert await rows(path, RECENT) == [str(app), None, None, "1"]
            for path in of_trace[1:2]:
                assert await rows(path, EARLY_OTHER) == [None, None, theirs, 1]
            assert await rows("/events", RECENT) == ["1", None, None, str(app)]
            assert await rows("/events", RECENT_OTHER) == ["1", str(theirs), None, None]
            assert await rows(f"/events?appId={app}", RECENT) == [str(app)]
            assert await rows(f"/event/{channel}/list", HEADERS) == [app]
            assert await rows(f"/event/{channel}/list", RECENT) == [str(app)]
            assert await rows(f"/event/{channel}/list", EARLY_OTHER) == [None]
            assert await rows(f"/event/{other}/list", HEADERS) == [None]

    asyncio.run(scenario())


@pytest.fixture(scope="module")
def gateways(kafka_bootstrap: str) -> Iterator[LiveGateways]:
    with live_gateways(kafka_bootstrap) as gateways:
        yield gateways


@pytest.mark.services
def test_live_streams_show_the_app_also_when_they_resume(gateways: LiveGateways) -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient(base_url=gateways.urls[0], timeout=60) as client:

            async def post(path: str, headers: dict[str, str] = HEADERS, **fields: object) -> Any:
                answer = await client.post(path, json={"name": "n", **fields}, headers=headers)
                assert answer.is_success, answer.text
                return answer.json()

            app = (await post("/apps"))["id"]
            theirs = (await post("/apps", EARLY_OTHER))["id"]
            channel = (await post("/channel", EARLY_OTHER, appId=theirs))["id"]  # tenant 1 publishes to the same number
            ours = (await post("/channel", appId=app))["id"]
            async with (
                live(client, "/live") as early,
                live(client, "/live", headers=RECENT) as recent,
                live(client, "/live", headers=RECENT_OTHER) as others,
            ):
                begin = early.response.headers["x-axonstream-position"]
                for number in (ours, channel):
                    await post("/event", **EVENT, channel_id=number, traceId="t")
                await post("/event", EARLY_OTHER, **EVENT, channel_id=channel, traceId="t")
                assert [received.data["appId"] for received in await early.take(2)] == [app, 1]
                assert [received.data["appId"] for received in await recent.take(2)] == [str(app), "1"]
                assert [received.data["appId"] for received in await others.take(1)] == [str(theirs)]
            async with live(client, f"/live?lastEventId={begin}") as resumed:
                assert [received.data["appId"] for received in await resumed.take(2)] == [app, 1]

    asyncio.run(scenario())

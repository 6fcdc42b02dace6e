"""/metrics: in the format that Prometheus reads, and each number moves when what it counts has happened."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import httpx
import orjson
import pytest
from gateway_in_process import gateway_in_process
from held_bulk_requests import held_bulk_requests
from stored_by_hand import event, store, summary

from axonstream.gateway.http.request_counts import METHODS, OTHER_METHOD, UNKNOWN_ROUTE
from axonstream.gateway.publishing.ingest import BULK_AT_ONCE, BULK_OF_A_TENANT
from axonstream.process.durations import BOUNDS_S, Durations
from axonstream.settings.settings import Settings
from kit.live_events import live
from kit.live_gateways import live_gateways
from kit.offline_gateway import HEADERS, OfflineGateway
from kit.scraped import Scraped
from kit.until import until

EVENT: dict[str, Any] = {"identifier": "a", "payload": {}, "channel_id": 1}
RECENT = {"x-axonpush-api-key": "ak_local"}


@pytest.fixture(autouse=True)
def _count_at_every_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.gateway.shared_look.EVERY_S", 0.0)  # test_health.py has the second between two


def scrape(offline: OfflineGateway) -> Scraped:
    return Scraped(offline.send("GET", "/metrics", headers={}))


async def scraped(client: httpx.AsyncClient) -> Scraped:
    return Scraped(await client.get("/metrics"))


def test_it_is_prometheus_text_and_asks_for_no_key(offline: OfflineGateway) -> None:
    answer = offline.send("GET", "/metrics", headers=[(b"Accept", b"application/openmetrics-text;version=\xff, */*")])
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = Scraped(answer)
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "python_info"} <= {f.name for f in found.families}
    assert found.value("build_info") == 1


def test_names_follow_the_conventions_of_prometheus(offline: OfflineGateway) -> None:
    offline.send("GET", "/apps")
    families = scrape(offline).ours()
    assert len({family.name for family in families}) == len(families) > 25
    for family in families:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", family.name)
        assert family.documentation.endswith(".")
        assert all(sample.name.endswith("_total") for sample in family.samples if family.type == "counter")
        assert family.type != "histogram" or family.name.endswith("_seconds")
        assert not re.search(r"_(ms|milliseconds|kb|mb|megabytes)(_|$)", family.name)


@pytest.mark.parametrize(("headers", "status"), [(HEADERS, "201"), (RECENT, "200")])
def test_a_publish_is_counted_by_its_status(offline: OfflineGateway, headers: dict[str, str], status: str) -> None:
    before = scrape(offline)
    assert before.has("http_requests_total", route="/event", status=status)  # at 0, so that its first increase shows
    for _ in range(3):
        offline.send("POST", "/event", json=EVENT, headers=headers)
    after = scrape(offline)
    assert after.value("http_requests_total", method="POST", route="/event", status=status) == 3
    assert after.value("http_requests_total", route="/event") == 3


def test_refusals_are_counted_by_their_status(offline: OfflineGateway) -> None:
    offline.send("POST", "/event", json={})
    offline.send("POST", "/event", json=EVENT, headers=HEADERS | {"X-API-Key": "ak_unknown"})
    offline.send("POST", "/event", json=EVENT, headers=HEADERS | {"x-tenant-id": "2"})
    offline.send("POST", "/event", content=b"x" * (3 << 20))
    offline.send("POST", "/events", json=[EVENT, {}, EVENT, {}])
    offline.log.acknowledges = False
    offline.send("POST", "/event", json=EVENT)
    offline.send("POST", "/events", json=[EVENT])
    found = scrape(offline)
    for status in ("400", "401", "403", "413", "503"):
        assert found.value("http_requests_total", route="/event", status=status) == 1
    assert found.value("http_requests_total", route="/events", status="503") == 1
    assert found.value("bulk_events_refused_total") == 2


def test_requests_beyond_a_limit_are_counted_by_the_limit() -> None:
    offline = OfflineGateway(rate_limit_key_per_s=0.001, rate_limit_burst_s=1000)
    for _ in range(3):
        offline.send("POST", "/event", json=EVENT)
    found = scrape(offline)
    assert found.value("rate_limited_total", limit="key") == 2
    assert found.value("rate_limited_total", limit="tenant") == 0
    assert found.value("http_requests_total", route="/event", status="429") == 2


@pytest.mark.slow
def test_a_read_is_counted_and_timed_by_its_route(offline: OfflineGateway) -> None:
    offline.send("GET", "/traces/tr_1/summary")
    offline.send("GET", "/traces/tr_2/summary")
    offline.send("GET", "/apps/1")
    offline.send("GET", "/apps/9")
    found = scrape(offline)
    route = {"method": "GET", "route": "/traces/{trace_id}/summary"}
    assert found.value("http_requests_total", **route, status="503") == 2
    assert found.value("http_request_duration_seconds_count", **route) == 2
    assert found.value("http_request_duration_seconds_bucket", **route, le="+Inf") == 2
    assert 0.2 < found.value("http_request_duration_seconds_sum", **route) < 20  # Kafka was waited for
    assert found.value("http_requests_total", route="/apps/{app_id}", status="200") == 1
    assert found.value("http_requests_total", route="/apps/{app_id}", status="404") == 1
    assert found.value("read_wait_seconds_count") == 2


@pytest.mark.slow
def test_nothing_that_a_sender_sends_becomes_a_label() -> None:
    """However many paths, methods, ids, keys, tenants and traces are tried: their series are those of the routes."""
    offline, drawn = OfflineGateway(read_wait_ms=1), random.Random(7)
    words = [token_hex(6) for _ in range(15)]
    paths = [re.sub(r"\{\w+\}", "W", path) for path in sorted(offline.paths())]
    paths = [path for path in paths if not path.endswith(("/live", "/subscribe"))]  # which wait for Kafka
    paths += ["/W", "/event/W", "/W/metrics", "/metrics/", "//", "/%2e%2e/W"]
    methods = [*sorted(METHODS), "TRACE", "PROPFIND", "BREW"]
    sent = 0
    for word in words:
        for path in drawn.sample(paths, 10):
            headers = drawn.choice([HEADERS, {"X-API-Key": word, "x-tenant-id": word}, {"x-axonpush-api-key": word}])
            body = orjson.dumps(EVENT | {"traceId": word, "agentId": word, "eventType": word, "environment": word})
            url = f"{path.replace('W', word)}?traceId={word}"
            offline.send(drawn.choice(methods), url, content=body, headers=headers | {"X-Request-Id": word})
            sent += 1
    found = scrape(offline)
    assert found.value("http_requests_total") == sent
    routes = {value for _, labels in found.labels() for name, value in labels if name == "route"}
    assert UNKNOWN_ROUTE in routes
    assert routes <= offline.paths() | {UNKNOWN_ROUTE}
    named = {value for _, labels in found.labels() for name, value in labels if name == "method"}
    assert OTHER_METHOD in named
    assert named <= METHODS | {OTHER_METHOD}
    assert [word for word in [*words, "ak_local"] if word in found.text] == []
    assert {name for _, labels in found.labels() for name, _ in labels} == {
        "le", "limit", "method", "of", "reason", "route", "status", "version", "work",
    }  # fmt: skip


def test_durations_are_counted_into_the_first_bucket_that_holds_them() -> None:
    took = Durations((1.0, 2.0))
    for seconds in (0.0, 1.0, 1.5, 2.0, 2.1, 99.0):
        took.add(seconds)
    assert (took.counts, took.total_s) == ([2, 2, 2], 105.6)
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


async def scraped_once(client: httpx.AsyncClient, name: str, is_so: Callable[[float], bool]) -> Scraped:
    """The first scrape in which a value is so: a gateway counts once a second at most."""
    found = await scraped(client)

    async def shown() -> bool:
        nonlocal found
        found = await scraped(client)
        return is_so(found.value(name))

    await until(shown, lambda: f"{name}, now {found.value(name)}", 60)
    return found


@pytest.mark.services
def test_a_running_gateway_counts_what_kafka_has_acknowledged_and_what_streams_were_sent(kafka_bootstrap: str) -> None:
    async def scenario(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            before = await scraped(client)
            assert before.value("control_data_known") == 1
            assert before.value("events_acknowledged_total") == before.value("live_streams") == 0
            async with live(client, "/channel/1/subscribe") as stream:
                for _ in range(3):
                    assert (await client.post("/event", json=EVENT, headers=HEADERS)).status_code == 201
                many = await client.post("/events", json=[EVENT] * 20 + [{}], headers=RECENT)
                assert many.json()["accepted"] == 20
                await stream.take(23)
                found = await scraped_once(client, "live_events_sent_total", lambda sent: sent == 23)
                assert found.value("live_streams") == 1
                begin = stream.response.headers["x-axonstream-position"]
                async with live(client, f"/live?lastEventId={begin}") as resumed:
                    await resumed.take(23)
                await scraped_once(client, "live_events_sent_total", lambda sent: sent == 46)
                assert 23 * 600 < found.value("live_ring_bytes") < found.value("live_ring_limit_bytes")
            assert found.value("events_acknowledged_total") == 23
            assert 23 * 100 < found.value("acknowledged_bytes_total") < 23 * 1000
            assert 4 <= found.value("batches_acknowledged_total") <= 23
            assert found.value("publish_acknowledgement_seconds_count") == 4
            assert 0 < found.value("publish_acknowledgement_seconds_sum") < 40
            assert found.value("bulk_events_refused_total") == 1
            for name in ("outbox_events", "outbox_bytes", "publishes_waiting", "batches_in_flight"):
                assert found.value(name) == 0
            created = await client.post("/apps", json={"name": "a"}, headers=HEADERS)
            assert created.status_code == 201
            known = found.value("control_data_offset")
            after = await scraped_once(client, "control_data_offset", lambda offset: offset > known)
            assert after.value("process_open_fds") == 0  # not of ours: its name has no prefix
            assert re.search(r"^process_open_fds [1-9]", after.text, re.MULTILINE)

    with live_gateways(kafka_bootstrap) as gateways:
        asyncio.run(scenario(gateways.urls[0]))


@pytest.mark.services
def test_stale_answers_are_counted_and_the_others_not(server_settings: Settings) -> None:
    at_ms = time.time_ns() // 1_000_000

    async def scenario() -> None:
        async with gateway_in_process(server_settings, read_wait_ms=2000) as client:
            await store(server_settings, [event("t", 0, at_ms, channel_id=1)], [summary("t", at_ms)])
            assert (await client.get("/traces", headers=HEADERS)).status_code == 200
            assert (await scraped(client)).value("stale_answers_total") == 0
            assert (await client.post("/event", json=EVENT, headers=HEADERS)).status_code == 201
            answer = await client.get("/traces", headers=HEADERS)
            assert (answer.status_code, answer.headers["X-Axonstream-Stale"]) == (200, "true")
            found = await scraped(client)
            assert found.value("stale_answers_total") == 1
            assert found.value("read_wait_seconds_bucket", le="1.0") < found.value("read_wait_seconds_count") == 2

    asyncio.run(scenario())


def test_without_kafka_publishes_are_503_wait_in_sight_and_control_data_is_not_known() -> None:
    async def scenario() -> None:
        settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
        async with gateway_in_process(settings, connected=False, publish_timeout_ms=300) as client:
            answer = await client.post("/event", json=EVENT, headers=HEADERS)
            assert answer.status_code == 503
            found = await scraped(client)
            assert found.value("http_requests_total", route="/event", status="503") == 1
            assert found.value("http_requests_total", route="/event", status="201") == 0
            assert found.value("events_acknowledged_total") == 0
            assert found.value("publish_acknowledgement_seconds_count") == 0
            assert found.value("control_data_known") == 0
            assert found.value("control_data_offset") == -1

    asyncio.run(scenario())


def test_turns_that_are_taken_and_waited_for_are_told(offline: OfflineGateway) -> None:
    async def scenario() -> None:
        async with held_bulk_requests(offline) as client:
            found = await scraped(client)
            assert found.value("turns_in_use", work="bulk") == BULK_OF_A_TENANT
            assert found.value("turns_waiting", work="bulk") == BULK_AT_ONCE - BULK_OF_A_TENANT
            assert found.value("turns_limit", work="bulk") == BULK_AT_ONCE
        async with offline.client() as client:
            found = await scraped(client)
        assert found.value("turns_in_use") == found.value("turns_waiting") == 0

    asyncio.run(scenario())

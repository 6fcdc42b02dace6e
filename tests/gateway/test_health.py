"""What needs no key makes the parts work once a second at most, and tells of them no more than whether they answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from gateway_in_process import gateway_in_process
from prometheus_client import generate_latest

from axonstream.gateway import metrics
from axonstream.gateway.http.errors import error_body
from axonstream.gateway.openapi import document
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.lag_history import Progress
from axonstream.gateway.reading.leader_questions import ToldEnd
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets
from axonstream.gateway.shared_look import SharedLook
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.offline_gateway import HEADERS, OfflineGateway

AT_ONCE = 20


def test_many_who_ask_for_readiness_cost_one_look_a_second(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S13: every call cost the gateway 6 ms, ClickHouse 7 and Kafka 9."""
    looks: list[str] = []
    go_on = asyncio.Event()

    async def ends(_: PipelineOffsets) -> dict[int, ToldEnd]:
        looks.append("kafka")
        await go_on.wait()
        return {}

    async def progress(_: PipelineOffsets) -> dict[int, Progress]:
        return {}

    async def ping(_: ClickHouseReads) -> None:
        looks.append("clickhouse")

    monkeypatch.setattr(PipelineOffsets, "told_ends", ends)
    monkeypatch.setattr(PipelineOffsets, "progress", progress)
    monkeypatch.setattr(ClickHouseReads, "ping", ping)

    async def scenario() -> None:
        async with asyncio.timeout(60), offline.client() as client:
            asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(AT_ONCE)]
            gone = asyncio.create_task(client.get("/health/ready"))
            await asyncio.wait([gone], timeout=0.1)
            gone.cancel()  # the look is not his
            go_on.set()
            answers = await asyncio.gather(*asking)
            answers += [await client.get("/health/ready") for _ in range(AT_ONCE)]
            assert {answer.status_code for answer in answers} == {200}
            assert sorted(looks) == ["clickhouse", "kafka"]
            monkeypatch.setattr("axonstream.gateway.shared_look.EVERY_S", 0.0)
            assert (await client.get("/health/ready")).is_success
            assert len(looks) == 4

    asyncio.run(scenario())


def test_a_look_that_hangs_is_not_begun_again_and_nobody_waits_for_it_for_ever() -> None:
    """S13: however long it takes."""
    begun: list[int] = []

    async def hang() -> int:
        begun.append(1)
        return await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        look = SharedLook(hang)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(look.latest(0.05) for _ in range(AT_ONCE))) == [None] * AT_ONCE
            assert await look.latest(0.05) is None
        assert begun == [1]

    asyncio.run(scenario())


def test_many_who_scrape_cost_one_count_a_second(offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """S13: every scrape took 15 ms of the event loop."""
    made: list[int] = []

    def counted(registry: Any) -> bytes:
        made.append(1)
        return generate_latest(registry)

    monkeypatch.setattr(metrics, "generate_latest", counted)

    async def scenario() -> None:
        async with offline.client() as client:
            answers = await asyncio.gather(*(client.get("/metrics") for _ in range(AT_ONCE)))
            assert len({answer.content for answer in answers}) == 1
            assert answers[0].content.startswith(b"# HELP")

    asyncio.run(scenario())
    assert made == [1]


# An address, a port, a file, a name of Python's or of the parts'.
INTERNALS = re.compile(
    rb"\d+\.\d+\.\d+\.\d+|localhost|:\d{4,5}\b|/(?:usr|home|root|work|tmp|opt)/|\.py\b|Traceback|[A-Za-z]+(?:Error|Exception)\b"
    rb"|Errno|0x[0-9a-f]{6,}|aiokafka|clickhouse_connect|uvicorn|asyncio|SELECT|Code: \d"
)
BODIES: dict[str, Any] = {
    "/event": {"identifier": "a", "payload": {}, "channel_id": 1},
    "/events": [{"identifier": "a", "payload": {}, "channel_id": 1}],
    "/apps": {"name": "a"},
    "/channel": {"name": "a", "appId": 1},
}


async def every_answer(client: httpx.AsyncClient) -> list[tuple[str, httpx.Response]]:
    """Of each call of each route, as it should be made and as it should not."""
    asked: list[tuple[str, Coroutine[Any, Any, httpx.Response]]] = []
    for path, calls in document()["paths"].items():
        filled = re.sub(r"{\w+}", "1", path)
        kinds: list[dict[str, Any]] = [
            {},
            {"content": b"{"},
            {"json": BODIES.get(path, {})},
            {"headers": {"X-API-Key": "unknown"}},
        ]
        for method in (*calls, "trace"):
            for kind in kinds:
                given: dict[str, Any] = {"headers": HEADERS, **kind}
                asked.append((f"{method} {filled} {kind}", client.request(method, filled, **given)))
    answers = await asyncio.gather(*(call for _, call in asked))
    return list(zip([name for name, _ in asked], answers, strict=True))


@pytest.mark.slow
def test_no_error_tells_an_address_or_a_detail_of_the_code_while_the_parts_are_away() -> None:
    """S13: `Unable to bootstrap from [('127.0.0.1', 1 ...` was told to anybody, and to tenants by each 503."""

    async def scenario() -> None:
        settings = Settings(
            kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", clickhouse_url=f"http://127.0.0.1:{free_port()}"
        )
        changes = {"publish_timeout_ms": 100, "read_wait_ms": 100}
        statuses: set[int] = set()
        async with gateway_in_process(settings, connected=False, **changes) as client:
            for call, answer in await every_answer(client):
                if answer.status_code >= 400:
                    statuses.add(answer.status_code)
                    assert not INTERNALS.search(answer.content), (call, answer.text)
                    if not call.startswith(("get /health/ready", "head")):
                        assert answer.json()["hint"], call
        assert statuses >= {400, 405, 501, 503}
        assert 500 not in statuses

    asyncio.run(scenario())


def test_what_this_test_looks_for_would_be_found() -> None:
    for text in ("KafkaConnectionError: Unable to bootstrap from [('127.0.0.1', 1", "Code: 60. DB::", "at [::1]:9092"):
        assert INTERNALS.search(error_body(503, text, "", ""))

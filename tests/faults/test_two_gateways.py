"""Two gateways of one installation: either is killed, each reads the other's writes, a key counts once for both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import httpx
import pytest

from axonstream.clickhouse.client import connect
from axonstream.settings.settings import Settings
from kit.evicted import evicted
from kit.fault_run import HEALS_WITHIN_S, hurt_under_load
from kit.publishing_load import PublishingLoad
from kit.running_stack import HEADERS, RunningStack
from kit.soak_report import SoakReport
from kit.until import until

pytestmark = pytest.mark.services

KNOWN_WITHIN_S = 1.0


@dataclass
class TwoGateways:
    """One installation with two gateways, and the loop that its supervisors live in."""

    runner: asyncio.Runner
    stack: RunningStack


@pytest.fixture(scope="module")
def two_gateways(
    kafka_bootstrap: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoGateways]:
    name = uuid4().hex[:8]
    directory = tmp_path_factory.mktemp("two")
    settings = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=2,
        trace_idle_s=2,
        data_dir=directory,
    )
    stack = RunningStack(settings, directory)
    with asyncio.Runner() as runner:
        try:
            runner.run(stack.start(gateways=2))
            yield TwoGateways(runner, stack)
        finally:
            runner.run(stack.stop())


def test_a_killed_part_costs_nothing_acknowledged_and_takes_nothing_back_from_readers(
    two_gateways: TwoGateways, soak: bool, soak_report: SoakReport
) -> None:
    """One run for all parts: the oracle knows the keys of one."""
    stack, parts = two_gateways.stack, itertools.cycle(("gateway-0", "sink-0", "gateway-1", "processor-0"))

    async def kill_a_part(_: PublishingLoad) -> None:
        await stack.kill(next(parts))

    two_gateways.runner.run(
        hurt_under_load(
            "kill a gateway, the sink, the processor",
            20 if soak else 4,
            kill_a_part,
            stack,
            soak_report,
            http=6,
            direct=0,
            readers=2,
        )
    )


def test_each_of_two_gateways_reads_at_once_what_the_other_acknowledged(two_gateways: TwoGateways, soak: bool) -> None:
    stack, trace = two_gateways.stack, f"tr_{uuid4().hex}"

    async def scenario() -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            for number in range(1, 301 if soak else 51):
                written, read = stack.urls[number % 2], stack.urls[(number + 1) % 2]
                event = {"identifier": f"step {number}", "payload": {}, "channel_id": 1, "traceId": trace}
                assert (await client.post(f"{written}/event", json=event)).status_code == 201
                answer = await client.get(f"{read}/traces/{trace}/summary?events=0")
                assert "X-Axonstream-Stale" not in answer.headers
                assert answer.json()["totalEvents"] == number

    two_gateways.runner.run(scenario())


@pytest.mark.soak
def test_what_one_gateway_was_told_the_other_knows_within_a_second(two_gateways: TwoGateways) -> None:
    """Keys, revocations and deletions go the same way as this name. A measurement: the machine must be idle."""
    stack = two_gateways.stack

    async def scenario() -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            app = (await client.post(f"{stack.urls[0]}/apps", json={"name": "first"})).json()["id"]

            async def tells(url: str, name: str) -> bool:
                return (await client.get(f"{url}/apps/{app}")).json().get("name") == name

            for number in range(50):
                written, read = stack.urls[number % 2], stack.urls[(number + 1) % 2]
                answer = await client.patch(f"{written}/apps/{app}", json={"name": f"name {number}"})
                assert answer.status_code == 200, answer.text
                assert await until(partial(tells, read, f"name {number}"), "the other knows", 60) < KNOWN_WITHIN_S

    two_gateways.runner.run(scenario())


def test_an_event_published_ten_times_counts_once_across_a_restart_of_the_processor_and_an_eviction(
    two_gateways: TwoGateways,
) -> None:
    stack, trace = two_gateways.stack, f"tr_{uuid4().hex}"
    event = {"identifier": "step", "payload": {}, "channel_id": 1, "traceId": trace, "dedupKey": "the same"}
    ids: set[int] = set()

    async def publish_ten_times(client: httpx.AsyncClient) -> None:
        for url in itertools.islice(itertools.cycle(stack.urls), 10):
            answer = await client.post(f"{url}/event", json=event)
            assert answer.status_code == 201, answer.text
            ids.add(answer.json()["id"])

    async def shows_once(client: httpx.AsyncClient) -> None:
        for url in stack.urls:
            summary = await _fresh(client, f"{url}/traces/{trace}/summary?events=0")
            assert summary.json()["totalEvents"] == 1
            assert len((await _fresh(client, f"{url}/traces/{trace}/events")).json()) == 1

    async def scenario() -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            await publish_ten_times(client)
            await shows_once(client)
            await stack.kill("processor-0")
            await shows_once(client)
            await evicted(stack.settings, trace)
            await publish_ten_times(client)
            await shows_once(client)
            assert await _segments(stack.settings, trace) > 1
            await stack.kill("processor-0")
            await shows_once(client)
            assert len(ids) == 1

    two_gateways.runner.run(scenario())


async def _segments(settings: Settings, trace_id: str) -> int:
    client = await connect(settings)
    try:
        sql = "SELECT segments FROM traces WHERE tenant_id = '1' AND trace_id = {trace:String}"
        return (await client.query(sql, parameters={"trace": trace_id})).result_rows[0][0]
    finally:
        await client.close()


async def _fresh(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """The answer to a read, as soon as there is one that is not stale."""
    found: list[httpx.Response] = []

    async def answered() -> bool:
        found[:] = [await client.get(url)]
        return found[0].status_code != 503 and "X-Axonstream-Stale" not in found[0].headers

    await until(answered, f"a fresh answer of {url}", HEALS_WITHIN_S)
    assert found[0].status_code == 200, found[0].text
    return found[0]

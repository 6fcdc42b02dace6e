"""Gateways that are killed, stopped, doubled or cut off from Kafka: no false 2xx, nothing lost, nothing held."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

import httpx
import psutil
import pytest

from axonstream.deploy.init import initialise
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.fault_run import HEALS_WITHIN_S
from kit.gateway_process import gateway_process
from kit.kafka_cluster import KafkaBroker, KafkaCluster
from kit.log_ends import records_on_kafka
from kit.running_stack import HEADERS
from kit.soak_report import FaultRow, SoakReport
from kit.until import until

pytestmark = pytest.mark.services


@dataclass
class Crowd:
    """Many clients that keep publishing large events to one gateway.

    A few others send as many bytes that it refuses by itself: `slowest_refusal_s` is how late an answer can come on
    this machine, under this load, that waits for nothing.
    """

    url: str
    bytes_of_payload: int = 64 << 10
    statuses: Counter[int] = field(default_factory=Counter[int])
    slowest_s: float = 0.0
    slowest_refusal_s: float = 0.0
    without_retry_after: int = 0
    acknowledged: set[str] = field(default_factory=set[str])
    unknown: set[str] = field(default_factory=set[str])

    async def publish(self, client: httpx.AsyncClient, sent: asyncio.Event | None = None) -> httpx.Response:
        """Post one event; `sent` is set once the whole request is written."""

        async def traced(step: str, _: object) -> None:
            if sent is not None and step == "http11.send_request_body.complete":
                sent.set()

        key = uuid4().hex
        self.unknown.add(key)
        payload = {"text": "x" * self.bytes_of_payload}
        event = {"identifier": "large", "payload": payload, "channel_id": 1, "dedupKey": key, "traceId": f"tr_{key}"}
        began = monotonic()
        answer = await client.post(f"{self.url}/event", json=event, extensions={"trace": traced})
        self.slowest_s = max(self.slowest_s, monotonic() - began)
        self.statuses[answer.status_code] += 1
        if answer.status_code == 503:
            self.without_retry_after += not answer.headers.get("Retry-After", "").isdecimal()
        elif answer.status_code == 201:
            self.unknown.discard(key)
            self.acknowledged.add(key)
        return answer

    async def be_refused(self, client: httpx.AsyncClient) -> None:
        payload = {"text": "x" * self.bytes_of_payload}
        began = monotonic()
        answer = await client.post(f"{self.url}/event", json={"payload": payload, "channel_id": "none"})
        self.slowest_refusal_s = max(self.slowest_refusal_s, monotonic() - began)
        assert answer.status_code == 400, answer.text

    async def until_answers(self, number: int, clients: int) -> None:
        """`clients` at once, until this many more answers have come."""
        goal = self.statuses.total() + number

        async def one(request: Callable[[httpx.AsyncClient], Awaitable[object]]) -> None:
            # A client each: the pool of one httpx client is too slow for hundreds of connections.
            async with httpx.AsyncClient(headers=HEADERS, timeout=60, verify=False) as client:
                while self.statuses.total() < goal:
                    await request(client)

        async with asyncio.TaskGroup() as group:
            for number in range(clients + REFUSED):
                group.create_task(one(self.publish if number < clients else self.be_refused))


CROWD = 200
REFUSED = 4
CUT_OFF_TIMEOUT_MS = 500
AS_LATE = 3  # times the slowest refusal: a publish waits for the machine when it comes, at its deadline, and going out
# One answer holds 64 KB while it is under way; kept for each of 3,600 answers, that would be 230 MB.
WARM_ANSWERS = 1200
ANSWERS = 3600
# What the allocator keeps for 200 connections is reached after 7,000 answers or so; from there on nothing may grow.
WARM_ANSWERS_OF_SOAK = 8000
ANSWERS_OF_SOAK = 20_000
GROWTH_BYTES = 96 << 20


@pytest.mark.parametrize("how", ["frozen", pytest.param("killed", marks=pytest.mark.soak)])
def test_without_kafka_a_gateway_refuses_in_time_holds_nothing_and_recovers(
    how: str, one_broker: KafkaCluster, one_broker_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    settings = one_broker_settings.model_copy(update={"publish_timeout_ms": CUT_OFF_TIMEOUT_MS})
    [broker] = one_broker.brokers.values()
    port = free_port()
    crowd = Crowd(f"http://127.0.0.1:{port}")

    async def scenario(process: subprocess.Popen[str]) -> int:
        await crowd.until_answers(50, clients=4)
        assert crowd.statuses[201]
        assert set(crowd.statuses) <= {201, 503}  # a busy machine may take longer than this timeout
        _cut_off(broker, how)
        crowd.statuses.clear()
        memory = psutil.Process(process.pid).memory_info
        await crowd.until_answers(WARM_ANSWERS_OF_SOAK if soak else WARM_ANSWERS, CROWD)
        before = memory().rss
        await crowd.until_answers(ANSWERS_OF_SOAK if soak else ANSWERS, CROWD)
        grown = memory().rss - before
        assert set(crowd.statuses) == {503}, "a 2xx without Kafka"
        assert not crowd.without_retry_after
        assert crowd.slowest_s < CUT_OFF_TIMEOUT_MS / 1000 + AS_LATE * crowd.slowest_refusal_s
        assert grown < GROWTH_BYTES
        _bring_back(broker, how)
        await one_broker.until_ready()
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:

            async def acknowledged() -> bool:
                return (await crowd.publish(client)).status_code == 201

            await until(acknowledged, "a publish is acknowledged again", HEALS_WITHIN_S)
        return grown

    asyncio.run(initialise(settings))
    with gateway_process(settings, port) as (process, printed):
        assert printed.readline() == "ready gateway\n"
        try:
            grown = asyncio.run(scenario(process))
        finally:
            _bring_back(broker, how)
            asyncio.run(one_broker.until_ready())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    soak_report.add(
        FaultRow(
            fault=f"Kafka {how} for a gateway",
            injected=1,
            acknowledged=len(crowd.acknowledged),
            stored=0,
            note=f"{crowd.statuses[503]} answers 503, slowest {crowd.slowest_s:.2f} s, memory grew by {grown >> 20} MB",
        )
    )


def test_a_gateway_that_is_stopped_answers_what_is_in_flight(
    one_broker: KafkaCluster, one_broker_settings: Settings
) -> None:
    [broker] = one_broker.brokers.values()
    port = free_port()
    crowd = Crowd(f"http://127.0.0.1:{port}", bytes_of_payload=100)

    async def scenario(process: subprocess.Popen[str]) -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            assert (await crowd.publish(client)).status_code == 201
            broker.freeze()
            sent = [asyncio.Event() for _ in range(20)]
            in_flight = [asyncio.create_task(crowd.publish(client, each)) for each in sent]
            for each in sent:
                await asyncio.wait_for(each.wait(), 60)
            async with httpx.AsyncClient(headers=HEADERS, timeout=60) as another:
                await crowd.be_refused(another)  # it came last: what came before is in the gateway's hands
            process.send_signal(signal.SIGTERM)
            await until(lambda: not _listens(process, port), "it takes no new connection", 60)
            broker.thaw()
            answers = await asyncio.gather(*in_flight)
        assert [answer.status_code for answer in answers] == [201] * 20
        assert await records_on_kafka(one_broker_settings) == 21

    asyncio.run(initialise(one_broker_settings))
    with gateway_process(one_broker_settings, port) as (process, printed):
        assert printed.readline() == "ready gateway\n"
        try:
            asyncio.run(scenario(process))
        finally:
            broker.thaw()
        assert process.wait(60) == 0


def test_a_gateway_without_kafka_can_be_stopped(one_broker: KafkaCluster, one_broker_settings: Settings) -> None:
    settings = one_broker_settings.model_copy(update={"publish_timeout_ms": CUT_OFF_TIMEOUT_MS})
    [broker] = one_broker.brokers.values()
    port = free_port()
    crowd = Crowd(f"http://127.0.0.1:{port}")
    asyncio.run(initialise(settings))
    with gateway_process(settings, port) as (process, printed):
        assert printed.readline() == "ready gateway\n"
        asyncio.run(crowd.until_answers(4, clients=4))
        broker.freeze()
        try:
            asyncio.run(crowd.until_answers(16, clients=16))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            broker.thaw()


def _listens(process: subprocess.Popen[str], port: int) -> bool:
    connections = psutil.Process(process.pid).net_connections()
    return any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in connections)


def _cut_off(broker: KafkaBroker, how: str) -> None:
    if how == "frozen":
        broker.freeze()
    else:
        broker.kill()


def _bring_back(broker: KafkaBroker, how: str) -> None:
    """Doing it twice is harmless."""
    if how == "frozen":
        broker.thaw()
    elif broker.ended():
        broker.start()

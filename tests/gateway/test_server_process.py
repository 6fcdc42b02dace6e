"""The gateway as a process: it says when it is ready, and on SIGTERM answers what it has taken on, then ends well."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.gateway_process import gateway_process
from kit.log_ends import records_on_kafka
from kit.offline_gateway import HEADERS

pytestmark = pytest.mark.services


def test_every_201_of_a_gateway_that_was_stopped_is_on_kafka(server_settings: Settings) -> None:
    port = free_port()

    async def publish_until_it_ends(client: httpx.AsyncClient, answered: list[int], enough: asyncio.Event) -> None:
        event = {"identifier": "step", "payload": {}, "channel_id": 1}
        while True:
            try:
                answer = await client.post(f"http://127.0.0.1:{port}/event", json=event, headers=HEADERS)
            except httpx.TransportError:
                return
            assert answer.status_code == 201
            answered.append(answer.json()["id"])
            if len(answered) >= 50:
                enough.set()

    async def scenario() -> None:
        answered: list[int] = []
        with gateway_process(server_settings, port) as (process, printed):
            assert await asyncio.to_thread(printed.readline) == "ready gateway\n"
            enough = asyncio.Event()
            async with httpx.AsyncClient() as client, asyncio.TaskGroup() as senders:
                for _ in range(8):
                    senders.create_task(publish_until_it_ends(client, answered, enough))
                await enough.wait()
                process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 0
            assert await asyncio.to_thread(printed.read) == ""
        assert len(answered) <= await records_on_kafka(server_settings) <= len(answered) + 8

    asyncio.run(scenario())


def test_without_kafka_it_is_alive_not_ready_and_answers_503(server_settings: Settings) -> None:
    port = free_port()
    unreachable = server_settings.model_copy(
        update={"kafka_bootstrap_servers": f"127.0.0.1:{free_port()}", "publish_timeout_ms": 500, "read_wait_ms": 500}
    )
    with gateway_process(unreachable, port) as (process, printed):
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=HEADERS, transport=httpx.HTTPTransport(retries=6)
        ) as client:
            assert client.get("/health/live").status_code == 200
            parts = client.get("/health/ready").json()["parts"]
            assert parts["kafka"] != "ok"
            assert parts["clickhouse"] == "ok"
            for answer in (
                client.post("/event", json={"identifier": "step", "payload": {}, "channel_id": 1}),
                client.get("/traces/t/summary"),
            ):
                assert answer.status_code == 503
                assert answer.headers["Retry-After"].isdecimal()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert printed.read() == ""

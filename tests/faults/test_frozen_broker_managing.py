"""The only broker freezes behind a gateway: what was read is answered, changes are refused in time, and it heals."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, time_ns
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.kafka.topic_admin import make_topics
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.audit_entries import an_entry
from kit.fault_run import HEALS_WITHIN_S
from kit.gateway_process import gateway_process
from kit.kafka_cluster import KafkaCluster
from kit.running_stack import HEADERS
from kit.until import until

pytestmark = pytest.mark.services

TIMEOUT_MS = 5000
IN_TIME_S = 20.0  # the timeout, and what a busy machine adds
AT_ONCE_S = 20.0  # a read that waited for Kafka would be answered with 503


@contextmanager
def serving(settings: Settings) -> Generator[str]:
    """The address of a gateway that is ready."""
    port = free_port()
    with gateway_process(settings, port) as (_, printed):
        assert printed.readline() == "ready gateway\n"
        yield f"http://127.0.0.1:{port}"


async def stored_key(settings: Settings) -> str:
    """A key that the control topic alone has."""
    secret = settings.server_secret.get_secret_value().encode()
    control = ControlLog(settings, ControlData(secret))
    await control.start()
    try:
        made = make_key(
            control.data,
            secret,
            tenant_id="1",
            name="ci",
            creator="a test",
            scopes=list(KeyScope),
            public=False,
            now_ms=time_ns() // 1_000_000,
            expires_at=None,
        )
        await control.write([made.record], an_entry())
    finally:
        await control.stop()
    return made.key


async def timed(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> tuple[httpx.Response, float]:
    began = monotonic()
    return await client.request(method, path, **request), monotonic() - began


async def made(client: httpx.AsyncClient, path: str, **fields: Any) -> int:
    answer = await client.post(path, json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_while_the_broker_is_frozen_reads_go_on_changes_are_refused_in_time_and_it_heals(
    one_broker: KafkaCluster, one_broker_settings: Settings
) -> None:
    settings = one_broker_settings.model_copy(
        update={"publish_timeout_ms": TIMEOUT_MS, "server_secret": SecretStr("a secret of this test")}
    )
    [broker] = one_broker.brokers.values()

    async def scenario() -> None:
        await make_topics(settings)
        key = await stored_key(settings)
        with serving(settings) as url:
            async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60) as client:
                app = await made(client, "/apps", name="before")
                channel = await made(client, "/channel", name="c", appId=app)
                hook = await made(client, "/webhooks/endpoints", url="https://example.com/hook", channelId=channel)
                reads = ["/apps", f"/apps/{app}", f"/channel/{channel}", f"/webhooks/endpoints/channel/{channel}"]
                changes: list[tuple[str, str, dict[str, Any] | None]] = [
                    ("POST", "/apps", {"name": "during"}),
                    ("PATCH", f"/apps/{app}", {"name": "changed"}),
                    ("POST", "/channel", {"name": "d", "appId": app}),
                    ("PUT", f"/channel/{channel}", {"name": "changed"}),
                    ("POST", "/webhooks/endpoints", {"url": "http://a.com/", "channelId": channel}),
                    ("DELETE", f"/webhooks/endpoints/{hook}", None),
                ]
                before = {path: (await client.get(path)).json() for path in reads}

                broker.freeze()
                try:
                    refused = asyncio.gather(
                        *(timed(client, method, path, json=body) for method, path, body in changes),
                        timed(client, "GET", "/apps/404"),
                    )
                    for headers in (HEADERS, {"X-API-Key": key, "x-tenant-id": "1"}):
                        for path in reads:
                            answer, seconds = await timed(client, "GET", path, headers=headers)
                            assert answer.status_code == 200, answer.text
                            assert seconds < AT_ONCE_S
                            assert answer.json() == before[path]
                    for answer, seconds in await refused:
                        assert answer.status_code == 503, answer.text
                        assert int(answer.headers["Retry-After"]) >= 1
                        assert seconds < IN_TIME_S
                    unknown = await client.get("/apps", headers={"X-API-Key": "ak_nobodys", "x-tenant-id": "1"})
                    assert unknown.status_code == 401
                    assert (await client.get("/health/live")).status_code == 200
                finally:
                    broker.thaw()

                async def heals() -> bool:
                    return (await client.post("/apps", json={"name": "after"})).status_code == 201

                await until(heals, "changes are taken again", HEALS_WITHIN_S)
                assert (await client.get("/apps/404")).status_code == 404
                with serving(settings) as other_url:
                    for path in reads:
                        other = await client.get(f"{other_url}{path}")
                        assert other.json() == (await client.get(path)).json()

    asyncio.run(scenario())

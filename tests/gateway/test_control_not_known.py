"""What the control data does not have is said not to be there only when all of the topic is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.audit_entry import Actor, AuditEntry
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.published_channels import PublishedChannels
from axonstream.gateway.control.records import ControlRecord
from kit.audit_entries import an_entry
from kit.memory_control import MemoryControl
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 57}


@pytest.mark.parametrize("strict", [False, True])
def test_while_the_topic_is_being_read_a_channel_is_not_called_unknown(strict: bool) -> None:
    offline = OfflineGateway(strict_channels=strict)
    offline.control.data.loaded = False
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/event", {"json": EVENT}),
        ("POST", "/events", {"json": [EVENT]}),
        ("GET", "/channel/57/subscribe", {}),
        ("GET", "/events?appId=57", {}),
        ("GET", "/channel/57", {}),
    ]
    for method, path, body in calls:
        answer = offline.send(method, path, **body)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1"), path
    assert offline.control.topic == []
    assert offline.log.records == []


SOMEBODY = Actor("a test", "here")


def test_without_kafka_what_another_gateway_may_have_made_is_not_called_unknown() -> None:
    strict = OfflineGateway(strict_channels=True)
    strict.control.acknowledges = False
    assert strict.send("POST", "/event", json=EVENT).status_code == 503
    assert strict.send("GET", "/channel/57/subscribe").status_code == 503
    for path in ("/apps/57", "/channel/57", "/webhooks/deliveries/57"):
        assert strict.send("GET", path).status_code == 503
    assert strict.send("GET", "/apps/1/channels").status_code == 200
    assert strict.send("POST", "/event", json=EVENT | {"channel_id": 1}).status_code == 201


def test_before_the_topic_is_read_to_its_end_no_key_of_it_opens_anything(offline: OfflineGateway) -> None:
    """Its revocation may be further on, and Kafka away before it was read."""
    key = make_key(
        offline.control.data, SERVER_SECRET.encode(), tenant_id="1", name="n", creator="c", scopes=[KeyScope.INGEST],
        public=False, now_ms=5, expires_at=None,
    )  # fmt: skip
    asyncio.run(offline.control.write([key.record], an_entry()))
    headers = {"x-axonpush-api-key": key.key}
    offline.control.data.loaded = False
    assert offline.send("POST", "/event", headers=headers, json=EVENT | {"channel_id": 1}).status_code == 503
    offline.control.data.loaded = True
    assert offline.send("POST", "/event", headers=headers, json=EVENT | {"channel_id": 1}).status_code == 200


def test_a_tenant_that_makes_channels_holds_up_no_other() -> None:
    class Slow(MemoryControl):
        async def write(self, records: Sequence[ControlRecord], entry: AuditEntry) -> None:
            if records[0].place.tenant_id == "1":
                await asyncio.Event().wait()
            await super().write(records, entry)

    async def scenario() -> None:
        channels = PublishedChannels(Slow(), lambda: 5, timeout_ms=60_000, strict=False)
        waiting = asyncio.create_task(channels.make("1", 57, SOMEBODY))
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await channels.make("2", 57, SOMEBODY)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(scenario())

"""The public package `axonpush` 0.0.9, unmodified, reads live streams as it reads those of its own service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axonpush import AxonPush, EventType
from axonpush.realtime.sse import SSESubscription

from kit.live_gateways import live_gateways

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def client(kafka_bootstrap: str) -> Iterator[AxonPush]:
    with (
        live_gateways(kafka_bootstrap) as gateways,
        AxonPush(api_key="ak_local", tenant_id="1", base_url=gateways.urls[0]) as client,
    ):
        yield client


def test_its_subscription_yields_typed_events(client: AxonPush) -> None:
    stream = SSESubscription(client._transport, 1, agent_id="researcher", event_type=EventType.AGENT_ERROR)
    with stream as events:
        client.events.publish("step", {"n": 0}, channel_id=1, agent_id="writer", event_type=EventType.AGENT_ERROR)
        sent = client.events.publish(
            "step", {"n": 1}, channel_id=1, agent_id="researcher", event_type=EventType.AGENT_ERROR, parent_event_id=7
        )
        received = next(iter(events))
    assert sent is not None
    assert (received.id, received.payload, received.parent_event_id) == (sent.id, {"n": 1}, 7)


def test_its_raw_streams_hold_events_and_nothing_else(client: AxonPush) -> None:
    with client.channels.subscribe_sse(1, trace_id="tr_raw") as source:
        for number in range(3):
            client.events.publish("step", {"n": number}, channel_id=1, trace_id="tr_raw")
        events = source.iter_sse()
        received = [next(events) for _ in range(3)]
    assert [event.json()["payload"]["n"] for event in received] == [0, 1, 2]
    assert len({event.id for event in received}) == 3


def test_it_follows_one_identifier(client: AxonPush) -> None:
    with client.channels.subscribe_event_sse(1, "wanted") as source:
        client.events.publish("unwanted", {}, channel_id=1)
        client.events.publish("wanted", {}, channel_id=1)
        assert next(source.iter_sse()).json()["identifier"] == "wanted"

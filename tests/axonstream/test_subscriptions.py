"""Subscriptions of the SDK against real gateways: everything comes once, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from secrets import token_hex

import pytest

from axonstream import AsyncAxonPush, AuthenticationError, AxonPush, EventType, NotFoundError, ValidationError
from axonstream.live import Following, LiveCall
from axonstream.local.free_ports import free_port
from axonstream.retries import RetryPolicy
from kit.live_gateways import LiveGateways, live_gateways

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def gateways(kafka_bootstrap: str) -> Iterator[LiveGateways]:
    with live_gateways(kafka_bootstrap, live_buffer_bytes=1 << 20) as gateways:
        yield gateways


@pytest.fixture
def client(gateways: LiveGateways) -> Iterator[AxonPush]:
    with AxonPush("ak_local", "1", base_url=gateways.urls[0]) as client:
        yield client


def test_a_channel_is_followed(client: AxonPush) -> None:
    with client.channels.subscribe(1, agent_id="me", event_type=EventType.AGENT_ERROR) as events:
        for agent, kind in (("you", "agent.error"), ("me", "agent.end"), ("me", "agent.error")):
            client.events.publish("step", {"big": 2**70}, 1, agent_id=agent, event_type=kind)
        event = next(events)
    assert (event.agent_id, event.event_type, event.payload) == ("me", EventType.AGENT_ERROR, {"big": 2**70})


def test_a_trace_and_the_tenant_are_followed(client: AxonPush) -> None:
    trace = f"tr/{token_hex(8)}"
    with client.traces.subscribe(trace) as of_trace, client.events.subscribe(errors_only=True) as errors:
        client.events.publish("other", {}, 1, trace_id="tr_other")
        first = client.events.publish("first", {}, 1, trace_id=trace)
        second = client.events.publish("second", {}, 1, trace_id=trace, event_type="agent.error")
        assert [next(of_trace).id, next(of_trace).id, next(errors).id] == [first.id, second.id, second.id]


def test_a_position_goes_on_in_another_subscription(client: AxonPush) -> None:
    trace = f"tr_{token_hex(8)}"  # of one trace the order is kept
    with client.channels.subscribe(1, identifier="a/b") as events:
        position = events.position
        for number in range(3):
            client.events.publish("a/b", {"n": number}, 1, trace_id=trace)
        assert next(events).payload == {"n": 0}
        after_first = events.position
    for since, numbers in ((position, [0, 1, 2]), (after_first, [1, 2])):
        with client.channels.subscribe(1, identifier="a/b", since=since) as events:
            assert [next(events).payload["n"] for _ in numbers] == numbers


def test_what_the_server_refuses_is_its_error(gateways: LiveGateways, client: AxonPush) -> None:
    with pytest.raises(NotFoundError, match="no such channel"), client.channels.subscribe(98765):
        pass
    with pytest.raises(ValidationError, match="Last-Event-ID"), client.events.subscribe(since="nonsense"):
        pass
    with (
        AxonPush("ak_wrong", "1", base_url=gateways.urls[0]) as other,
        pytest.raises(AuthenticationError),
        other.events.subscribe(),
    ):
        pass


def test_what_a_slow_reader_missed_is_read_again(client: AxonPush) -> None:
    events = [{"identifier": "step", "payload": {"text": "x" * 20_000}, "channel_id": 2} for _ in range(50)]
    ids: list[int] = []
    with client.channels.subscribe(2) as subscription:
        for _ in range(16):
            ids += client.events.publish_many(events).ids
        assert sorted(next(subscription).id for _ in ids) == sorted(ids)
        assert subscription.missed == 0


def test_a_lost_gateway_is_waited_for_and_nothing_is_missed(kafka_bootstrap: str) -> None:
    async def scenario(gateways: LiveGateways) -> None:
        received: list[int] = []

        async def follow(client: AsyncAxonPush, opened: asyncio.Event) -> None:
            async with client.events.subscribe() as events:
                opened.set()
                async for event in events:
                    received.append(event.payload["n"])
                    if len(received) == 60:
                        return

        async with AsyncAxonPush("ak_local", "1", base_url=gateways.urls[0], max_retries=20) as client:
            opened = asyncio.Event()
            following = asyncio.create_task(follow(client, opened))
            await opened.wait()
            for number in range(60):
                await client.events.publish("step", {"n": number}, 1, trace_id="tr_one")
                if number in (15, 35):
                    await asyncio.to_thread(gateways.restart, 0)
            await asyncio.wait_for(following, 60)
        assert received == list(range(60))

    with live_gateways(kafka_bootstrap) as gateways:
        asyncio.run(scenario(gateways))


def test_a_first_connection_is_tried_as_often_as_any_call() -> None:
    from axonstream import APIConnectionError

    waits: list[float] = []
    with (
        AxonPush(
            "k", "1", base_url=f"http://127.0.0.1:{free_port()}", max_retries=2, sleep=waits.append, jitter=lambda: 1.0
        ) as client,
        pytest.raises(APIConnectionError),
        client.events.subscribe(),
    ):
        pass
    assert waits == [0.25, 0.5]


def test_after_five_minutes_without_a_server_it_gives_up() -> None:
    from axonstream import APIConnectionError

    now = [0.0]
    following = Following(LiveCall("/live", {}), RetryPolicy(1, lambda: 1.0, lambda: now[0]), None)
    following.opened({})
    assert [following.wait_after(None) for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 8, 8]
    now[0] = 301.0
    with pytest.raises(APIConnectionError):
        following.wait_after(None)

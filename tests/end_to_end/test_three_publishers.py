"""AxonPush, AsyncAxonPush and KafkaPublisher: the same calls store the same events, and the same input is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import orjson
import pytest

from axonstream import (
    AsyncAxonPush,
    AxonPush,
    BatchResult,
    EventInput,
    EventType,
    KafkaPublisher,
    ValidationError,
    trace_scope,
)
from axonstream.event_contract import event_id_of
from axonstream.gateway.routing.wire_values import iso_time
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.running_stack import HEADERS

pytestmark = pytest.mark.services


EXACT = {"big": 2**70, "one": 1.0, "none": None, "text": "é\u2028😀", "deep": [[{"a": []}]]}
FULL: dict[str, Any] = {
    "identifier": "web_search",
    "payload": EXACT,
    "channel_id": 1,
    "agent_id": "researcher",
    "span_id": "sp_1",
    "parent_event_id": 2**53 + 1,
    "parent_span_id": "sp_0",
    "event_type": EventType.AGENT_TOOL_CALL_START,
    "metadata": EXACT,
    "dedup_key": "once",
    "environment": "staging",
    "occurred_at": datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC),
}
STORED = {
    "identifier": "web_search",
    "channelId": 1,
    "agentId": "researcher",
    "spanId": "sp_1",
    "parentEventId": 2**53 + 1,
    "parentSpanId": "sp_0",
    "eventType": "agent.tool_call.start",
    "dedupKey": "once",
    "environment": "staging",
    "occurredAt": "2026-01-31T12:00:00.005Z",
    "source": "app",
    "orgId": 1,
}
SMALL: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 2}
WRONG: list[dict[str, Any]] = [
    {"identifier": ""},
    {"identifier": "a\x00"},
    {"identifier": "é" * 129},
    {"payload": [1]},
    {"channel_id": -1},
    {"channel_id": 2**63},
    {"channel_id": True},
    {"event_type": "Agent Start"},
    {"metadata": "text"},
    {"trace_id": ""},
    {"trace_id": "t" * 257},
    {"agent_id": 7},
    {"parent_event_id": 1.5},
    {"dedup_key": "d" * 257},
    {"occurred_at": datetime(2026, 1, 31)},  # noqa: DTZ001  a time without a zone is what is wrong
    {"occurred_at": -1},
]


class Publisher:
    """One of the three as plain calls; each is a client of its own, as in a service that ends."""

    def __init__(self, kind: str, url: str, settings: Settings) -> None:
        self._kind = kind
        self._url = url
        self._settings = settings

    def publish(self, *events: dict[str, Any]) -> None:
        """One call of publish() after the other."""
        if self._kind == "AxonPush":
            with AxonPush("ak_local", "1", base_url=self._url) as client:
                for event in events:
                    client.events.publish(**event)
            return

        async def run() -> None:
            async with self._asynchronous() as client:
                publish = client.events.publish if isinstance(client, AsyncAxonPush) else client.publish
                for event in events:
                    await publish(**event)

        asyncio.run(run())

    def publish_many(self, events: list[Any]) -> BatchResult:
        """One call of publish_many()."""
        if self._kind == "AxonPush":
            with AxonPush("ak_local", "1", base_url=self._url) as client:
                return client.events.publish_many(events)

        async def run() -> BatchResult:
            async with self._asynchronous() as client:
                publish_many = client.events.publish_many if isinstance(client, AsyncAxonPush) else client.publish_many
                return await publish_many(events)

        return asyncio.run(run())

    def _asynchronous(self) -> AsyncAxonPush | KafkaPublisher:
        if self._kind == "AsyncAxonPush":
            return AsyncAxonPush("ak_local", "1", base_url=self._url)
        topic = Topics(self._settings.topic_prefix).events
        servers = self._settings.kafka_bootstrap_servers
        return KafkaPublisher(bootstrap_servers=servers, tenant_id="1", topic=topic)


KINDS = ("AxonPush", "AsyncAxonPush", "KafkaPublisher")


@pytest.fixture(params=KINDS)
def publisher(request: pytest.FixtureRequest, gateway_url: str, stack_settings: Settings) -> Publisher:
    return Publisher(request.param, gateway_url, stack_settings)


@pytest.fixture
def trace_id() -> Iterator[str]:
    """The trace of the context, which no test has used before."""
    with trace_scope(f"tr_{token_hex(8)}") as trace:
        yield trace.trace_id


@pytest.fixture
def stored(gateway_url: str, trace_id: str) -> Callable[[], list[dict[str, Any]]]:
    """The events of the trace, as they are read right after a publish; none for a trace that is not there."""

    def read() -> list[dict[str, Any]]:
        answer = httpx.get(f"{gateway_url}/traces/{trace_id}/events", headers=HEADERS, timeout=60)
        assert answer.status_code in (200, 404), answer.text
        return [] if answer.status_code == 404 else answer.json()

    return read


def test_every_field_is_stored_as_it_was_given(
    publisher: Publisher, trace_id: str, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    publisher.publish(FULL)
    [event] = stored()
    assert {name: event[name] for name in STORED} == STORED
    assert event["traceId"] == trace_id
    assert event["id"] == event_id_of("1", trace_id, "once")
    for kept in (event["payload"], event["metadata"]):
        assert kept == EXACT
        assert isinstance(kept["one"], float)


def test_what_is_left_out_has_the_same_defaults(
    publisher: Publisher, trace_id: str, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    publisher.publish(SMALL)
    [event] = stored()
    empty = ("agentId", "spanId", "parentEventId", "parentSpanId", "metadata", "environment")
    assert [event[name] for name in empty] == [None] * len(empty)
    assert (event["eventType"], event["payload"], event["traceId"]) == ("custom", {}, trace_id)
    published, arrived = (datetime.fromisoformat(event[name]) for name in ("occurredAt", "createdAt"))
    assert abs(arrived - published) < timedelta(minutes=1), "by the clocks of the publisher and of Kafka"


def test_the_answer_to_a_publish_has_the_time_that_reads_show(
    gateway_url: str, stack_settings: Settings, trace_id: str, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    sent = {"identifier": "a", "payload": {}, "channel_id": 1, "traceId": trace_id}
    answered = [
        httpx.post(f"{gateway_url}/event", json=sent, headers=HEADERS, timeout=30).json()["createdAt"] for _ in range(5)
    ]

    async def straight_to_kafka() -> int:
        topic = Topics(stack_settings.topic_prefix).events
        servers = stack_settings.kafka_bootstrap_servers
        async with KafkaPublisher(bootstrap_servers=servers, tenant_id="1", topic=topic) as publisher:
            return (await publisher.publish("a", {}, 1, trace_id=trace_id)).received_at

    answered.append(iso_time(asyncio.run(straight_to_kafka())))
    assert sorted(answered) == sorted(event["createdAt"] for event in stored())


def test_many_at_once_are_the_same_as_one_by_one(
    publisher: Publisher, trace_id: str, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    publisher.publish_many(
        [
            {**SMALL, "identifier": "by our names", "occurred_at": at},
            {**SMALL, "identifier": "by wire names", "occurredAt": "2026-01-31T00:00:00.001Z", "agentId": "a"},
            EventInput(identifier="checked before", payload={}, channel_id=2, occurred_at=1_769_817_600_002),
        ]
    )
    publisher.publish({**SMALL, "identifier": "alone", "occurred_at": 1_769_817_600_003})
    assert [(event["identifier"], event["agentId"]) for event in stored()] == [
        ("by our names", None),
        ("by wire names", "a"),
        ("checked before", None),
        ("alone", None),
    ]


def test_a_dedup_key_makes_one_event_of_repeats(
    publisher: Publisher, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    once = {**SMALL, "dedup_key": "k"}
    publisher.publish(once, {**once, "identifier": "again"}, SMALL, SMALL)
    assert sorted(event["identifier"] for event in stored()) == ["step", "step", "step"]


def test_all_three_make_the_same_event_of_one_dedup_key(
    gateway_url: str, stack_settings: Settings, trace_id: str, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    for kind in KINDS:
        Publisher(kind, gateway_url, stack_settings).publish({**SMALL, "dedup_key": "k", "agent_id": kind})
    [event] = stored()
    assert event["agentId"] == KINDS[0]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: orjson.dumps(wrong, default=str).decode()[:24])
def test_what_is_no_event_is_refused_before_anything_is_sent(publisher: Publisher, wrong: dict[str, Any]) -> None:
    [field] = wrong
    with pytest.raises(ValidationError, match=rf"(?i){field.replace('_', '_?')}"):
        publisher.publish({**SMALL, **wrong})


def test_one_that_is_wrong_takes_no_other_of_its_batch_along(
    publisher: Publisher, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    result = publisher.publish_many([SMALL, {**SMALL, "identifier": ""}, {**SMALL, "identifier": "last"}])
    assert (result.accepted, [one.index for one in result.rejected]) == (2, [1])
    assert sorted(event["identifier"] for event in stored()) == ["last", "step"]


def test_values_that_are_not_json_are_stored_and_read_as_the_same_json(
    publisher: Publisher, stored: Callable[[], list[dict[str, Any]]]
) -> None:
    """The whole table is in `tests/producers/test_one_contract.py`; this is the way to ClickHouse and back."""
    ring: dict[str, Any] = {}
    ring["self"] = ring
    payload = {
        "set": {2, 1},
        "path": Path("a/b"),
        "error": ValueError("x"),
        "nan": float("nan"),
        "ring": ring,
        1: "\ud83d",
    }
    publisher.publish({**SMALL, "payload": payload})
    [event] = stored()
    assert event["payload"] == {
        "set": [1, 2],
        "path": "a/b",
        "error": {"$repr": "ValueError('x')"},
        "nan": {"$repr": "nan"},
        "ring": {"self": {"$repr": "{'self': {'self': {'self': {...}}}}"}},
        "1": "\ufffd",
    }

"""What the clients send for an event and read back. Each test runs on the sync and on the async client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import EVENT, Ask, Clock, MakeAsk, Server

from axonstream import AxonPush, Event, EventInput, EventType, UnexpectedAnswerError, ValidationError, trace_scope
from axonstream.version import VERSION

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(autouse=True)
def trace() -> Iterator[str]:
    with trace_scope() as scope:
        yield scope.trace_id


def echo(request: httpx.Request) -> httpx.Response:
    """Answers as the gateway does, with the sender's own bytes of the payload."""
    sent = request.content
    payload = sent[sent.index(b'"payload":') :].split(b',"channel_id"')[0]
    return httpx.Response(201, content=json.dumps(EVENT).encode().replace(b'"payload": {}', payload))


def test_the_request_is_the_early_generations(ask: Ask, server: Server):
    server.script = [httpx.Response(201, json=EVENT)]
    event = ask(
        lambda client: client.events.publish(
            "web_search",
            {"query": "AI frameworks"},
            channel_id=1,
            agent_id="researcher",
            trace_id="tr_1",
            span_id="sp_1",
            parent_event_id=2**53 + 1,
            parent_span_id="sp_0",
            event_type=EventType.AGENT_TOOL_CALL_START,
            metadata={"a": None},
            dedup_key="once",
            environment="staging",
            occurred_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        )
    )
    assert isinstance(event, Event)
    [request] = server.requests
    assert (request.method, request.url.path) == ("POST", "/event")
    assert request.headers["X-API-Key"] == "ak_local"
    assert request.headers["x-tenant-id"] == "1"
    assert request.headers["User-Agent"] == f"axonstream-python/{VERSION}"
    assert server.bodies == [
        {
            "identifier": "web_search",
            "payload": {"query": "AI frameworks"},
            "channel_id": 1,
            "agentId": "researcher",
            "traceId": "tr_1",
            "spanId": "sp_1",
            "parentEventId": str(2**53 + 1),
            "parentSpanId": "sp_0",
            "eventType": "agent.tool_call.start",
            "metadata": {"a": None},
            "dedupKey": "once",
            "environment": "staging",
            "occurredAt": 1769860800000,
        }
    ]


def test_without_a_trace_id_the_event_joins_the_current_trace(ask: Ask, server: Server, trace: str):
    server.script = [httpx.Response(201, json=EVENT)]
    ask(lambda client: client.events.publish("a", {}, 1))
    assert server.bodies[0]["traceId"] == trace


def test_every_publish_has_a_dedup_key_of_its_own(ask: Ask, server: Server):
    server.script = [httpx.Response(201, json=EVENT)]
    ask(lambda client: client.events.publish("a", {}, 1))
    ask(lambda client: client.events.publish("a", {}, 1, dedup_key=""))
    keys = {body["dedupKey"] for body in server.bodies}
    assert len(keys) == 2
    assert all(len(key) == 32 for key in keys)


def test_the_clients_environment_goes_with_events_that_have_none(make_ask: MakeAsk, server: Server):
    server.script = [httpx.Response(201, json=EVENT)]
    ask = make_ask(environment="production")
    ask(lambda client: client.events.publish("a", {}, 1))
    ask(lambda client: client.events.publish("a", {}, 1, environment="staging"))
    assert [body["environment"] for body in server.bodies] == ["production", "staging"]


def test_numbers_null_and_text_come_back_as_they_were(ask: Ask, server: Server):
    server.script = [echo]
    payload = {
        "big": 2**70,
        "float": 1.0,
        "odd": 2**53 + 1,
        "none": None,
        "text": "é\u2028\x00" * 20_000,
        "deep": [[{}]],
    }
    event = ask(lambda client: client.events.publish("a", payload, 1))
    assert event.payload == payload
    assert isinstance(event.payload["float"], float)


@pytest.mark.slow
@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_any_json_payload_comes_back_as_it_was(payload: dict[str, Any]):
    with AxonPush("ak_local", "1", transport=httpx.MockTransport(reflected)) as client:
        back = client.events.publish("a", payload, 1).payload
    assert back == payload
    assert repr(back) == repr(payload)  # 1 is not 1.0, and -0.0 is not 0.0


def reflected(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, content=b'{"eventId":1,"traceId":"tr_1",' + request.content[1:])


def test_an_unknown_event_type_stays_text_and_a_known_one_prints_as_on_the_wire(ask: Ask, server: Server):
    server.script = [
        httpx.Response(201, json=EVENT | {"eventType": "my.type"}),
        httpx.Response(201, json=EVENT | {"eventType": "agent.tool_call.start"}),
    ]
    unknown = ask(lambda client: client.events.publish("a", {}, 1, event_type="my.type"))
    known = ask(lambda client: client.events.publish("a", {}, 1, event_type="agent.tool_call.start"))
    assert type(unknown.event_type) is str
    assert known.event_type is EventType.AGENT_TOOL_CALL_START
    assert f"{unknown.event_type} {known.event_type}" == "my.type agent.tool_call.start"


def test_an_events_ids_compare_with_its_childs_parent(ask: Ask, server: Server):
    server.script = [httpx.Response(201, json=EVENT), httpx.Response(201, json=EVENT | {"parentEventId": "7"})]
    parent = ask(lambda client: client.events.publish("a", {}, 1))
    child = ask(lambda client: client.events.publish("b", {}, 1, parent_event_id=parent.event_id))
    assert child.parent_event_id == parent.event_id == parent.id


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("identifier", {"identifier": ""}),
        ("identifier", {"identifier": None}),
        ("payload", {"payload": ["no", "object"]}),
        ("channel_id", {"channel_id": "one"}),
        ("channel_id", {"channel_id": -1}),
        ("agent_id", {"agent_id": "é" * 129}),
        ("trace_id", {"trace_id": ""}),
        ("event_type", {"event_type": "Not A Type"}),
        ("metadata", {"metadata": "text"}),
        ("occurred_at", {"occurred_at": datetime(2026, 1, 31)}),  # noqa: DTZ001  the missing zone is the point
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_sent(ask: Ask, server: Server, field: str, arguments: dict[str, Any]):
    with pytest.raises(ValidationError, match=field) as caught:
        ask(lambda client: client.events.publish(**{"identifier": "a", "payload": {}, "channel_id": 1} | arguments))
    assert caught.value.status_code is None
    assert caught.value.hint
    assert server.requests == []


def test_many_events_go_in_one_request_and_each_refusal_is_told(ask: Ask, server: Server, trace: str):
    server.script = [
        httpx.Response(200, json={"accepted": 1, "rejected": [{"index": 1, "message": "too large"}], "ids": [5]})
    ]
    events = [
        {"identifier": "a", "payload": {"n": 1.0}, "channel_id": 1, "agent_id": "x"},
        EventInput.model_validate(
            {"identifier": "b", "payload": {}, "channel_id": 2, "trace_id": "tr_2", "dedup_key": "k"}
        ),
    ]
    result = ask(lambda client: client.events.publish_many(iter(events)))
    assert (result.accepted, result.ids) == (1, (5,))
    assert [(one.index, one.message) for one in result.rejected] == [(1, "too large")]
    [[first, second]] = server.bodies
    assert server.requests[0].url.path == "/events"
    assert (first["traceId"], first["agentId"], len(first["dedupKey"])) == (trace, "x", 32)
    assert (second["traceId"], second["dedupKey"]) == ("tr_2", "k")


def test_a_wrong_event_among_many_is_named_by_its_place_with_what_the_server_refuses(ask: Ask, server: Server):
    server.script = [
        httpx.Response(200, json={"accepted": 1, "rejected": [{"index": 1, "message": "too large"}], "ids": [5]})
    ]
    good = {"identifier": "a", "payload": {}, "channel_id": 1}
    result = ask(lambda client: client.events.publish_many([good | {"payload": 3}, good, good | {"identifier": "b"}]))
    assert [one.index for one in result.rejected] == [0, 2]
    assert result.rejected[0].message.startswith("payload: ")
    assert [body["identifier"] for body in server.bodies[0]] == ["a", "b"]


def test_a_batch_of_which_nothing_was_taken_is_an_error(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json={"accepted": 0, "rejected": [{"index": 0, "message": "too large"}]})]
    with pytest.raises(ValidationError, match=r"events\[0\]: too large"):
        ask(lambda client: client.events.publish_many([{"identifier": "a", "payload": {}, "channel_id": 1}]))
    with pytest.raises(ValidationError, match=r"events\[0\]: payload: "):
        ask(lambda client: client.events.publish_many([{"identifier": "a", "payload": 3, "channel_id": 1}]))
    assert len(server.requests) == 1


def test_an_answer_about_an_event_that_was_not_sent_is_not_ours(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json={"accepted": 1, "rejected": [{"index": 9, "message": "?"}]})]
    with pytest.raises(UnexpectedAnswerError):
        ask(lambda client: client.events.publish_many([{"identifier": "a", "payload": {}, "channel_id": 1}]))


def test_a_retried_batch_is_the_same_batch(ask: Ask, server: Server, clock: Clock):
    server.script = [httpx.Response(503), httpx.Response(200, json={"accepted": 1})]
    ask(lambda client: client.events.publish_many([{"identifier": "a", "payload": {}, "channel_id": 1}]))
    assert server.bodies[0] == server.bodies[1]
    assert len(clock.sleeps) == 1

"""What cannot be done is refused in words that say what to do; nothing is stored and the next request works."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from kit.offline_gateway import HEADERS, OfflineGateway

GOOD: dict[str, Any] = {"identifier": "web_search", "payload": {"query": "AI"}, "channel_id": 1}


def _but(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


_TOKENS: list[Any] = [-1, "5", 1.0, 1.5, True, 10**12 + 1, 2**64, 2**70, [1], {}]
_COSTS: list[Any] = ["0.5", "NaN", "", True, -1, -0.01, 999_999.5, 10**6, 2**70, 1e300, [1], {}]
WRONG_STEPS: dict[str, list[Any]] = {
    "inputTokens": _TOKENS,
    "input_tokens": _TOKENS,
    "outputTokens": [-1, "5"],
    "cachedInputTokens": [-1],
    "reasoning_tokens": [True],
    "costUsd": _COSTS,
    "cost_usd": _COSTS,
    "status": ["OK", "failed", "", 3, True, ["ok"]],
    "durationMs": [-1, "5", 1.5, True, 316_224_000_001],
    "duration_ms": [-1],
    "model": [5, "x" * 257, "a\x00", {}],
    "service_name": [["a"]],
    "sessionId": [7],
}


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (_but(identifier=""), "identifier"),
        (_without("identifier"), "identifier"),
        (_but(identifier=7), "identifier"),
        (_but(identifier="x" * 257), "identifier"),
        (_but(identifier="a\x00b"), "identifier"),
        (_but(payload=[1]), "payload"),
        (_but(payload=None), "payload"),
        (_but(payload="{}"), "payload"),
        (_without("payload"), "payload"),
        (_but(metadata=[1]), "metadata"),
        (_without("channel_id"), "channel_id"),
        (_but(channel_id="one"), "channel_id"),
        (_but(channel_id=-1), "channel_id"),
        (_but(channel_id=1.5), "channel_id"),
        (_but(channel_id=True), "channel_id"),
        (_but(channel_id=2**63), "channel_id"),
        (_but(traceId=""), "traceId"),
        (_but(traceId=5), "traceId"),
        (_but(agentId={}), "agentId"),
        (_but(spanId="é" * 129), "spanId"),
        (_but(parentEventId=[1]), "parentEventId"),
        (_but(eventType="Agent Start"), "eventType"),
        (_but(eventType="a" * 65), "eventType"),
        (_but(occurredAt="yesterday"), "occurredAt"),
        (_but(occurredAt="2026-01-31T12:00:00"), "occurredAt"),
        (_but(occurredAt=-1), "occurredAt"),
        *((_but(**{name: value}), name) for name, values in WRONG_STEPS.items() for value in values),
    ],
)
def test_a_wrong_field_is_named_with_what_it_must_be(
    offline: OfflineGateway, event: dict[str, Any], field: str
) -> None:
    answer = offline.send("POST", "/event", content=json.dumps(event).encode())
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == "validation_error"
    assert error["statusCode"] == 400
    assert error["requestId"] == answer.headers["X-Request-Id"]
    assert error["hint"]
    assert [message for message in error["message"] if message.startswith(f"{field} must be ")]
    assert offline.log.records == []
    assert offline.send("POST", "/event", json=GOOD).status_code == 201


@pytest.mark.parametrize("ndjson", [False, True])
def test_a_wrong_step_is_named_in_a_bulk_by_its_place_and_its_neighbours_are_stored(
    offline: OfflineGateway, ndjson: bool
) -> None:
    wrong = [(name, value) for name, values in WRONG_STEPS.items() for value in values]
    events = [one for name, value in wrong for one in (_but(**{name: value}), GOOD)]
    lines = [json.dumps(event).encode() for event in events]
    body = b"\n".join(lines) if ndjson else b"[" + b",".join(lines) + b"]"
    answer = offline.send("POST", "/events", content=body).json()
    assert answer["accepted"] == len(wrong) == len(offline.log.records)
    told = [(one["index"], one["message"].split(" must be ")[0]) for one in answer["rejected"]]
    assert told == [(2 * place, name) for place, (name, _) in enumerate(wrong)]


@pytest.mark.parametrize("number", [1_795_758_320, 1_795_758_320_123_456, 1_795_758_320_123_456_789])
def test_a_time_of_another_unit_is_refused_with_words(offline: OfflineGateway, number: int) -> None:
    answer = offline.send("POST", "/event", json=_but(occurredAt=number))
    assert answer.status_code == 400
    assert f"{number} looks like" in answer.json()["message"][0]
    assert offline.log.records == []


def test_every_wrong_field_is_named_at_once(offline: OfflineGateway) -> None:
    error = offline.send("POST", "/event", json={"identifier": "", "payload": 1}).json()
    assert [message.split()[0] for message in error["message"]] == ["identifier", "payload", "channel_id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"null",
        b"[]",
        b'"event"',
        orjson.dumps(GOOD)[:-1],
        orjson.dumps(GOOD) + b"{}",
        b'{"identifier":"a","payload":{"x":NaN},"channel_id":1}',
        b'{"identifier":"a","payload":{"x":1e400},"channel_id":1}',
        b'{"identifier":"a","payload":{"x":"\xff"},"channel_id":1}',
        b'{"identifier":"a","payload":{"x":1,"x":2},"channel_id":1}',
        b'{"identifier":"a","payload":{},"payload":{},"channel_id":1}',
        b'{"identifier":"a","channel_id":1,"payload":' + b'{"a":' * 100 + b"1" + b"}" * 101,
        b'{"identifier":"a","channel_id":1,"payload":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
    ],
)
def test_what_is_no_json_object_is_refused(offline: OfflineGateway, body: bytes) -> None:
    answer = offline.send("POST", "/event", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "validation_error"
    assert offline.log.records == []


def test_an_event_of_over_one_mebibyte_is_413(offline: OfflineGateway) -> None:
    answer = offline.send("POST", "/event", json=_but(payload={"text": "x" * (1 << 20)}))
    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"
    assert offline.send("POST", "/event", json=_but(payload={"text": "x" * 1_000_000})).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-tenant-id": "1"}, 401),
        ({"X-API-Key": "", "x-tenant-id": "1"}, 401),
        ({"X-API-Key": "ak_wrong", "x-tenant-id": "1"}, 401),
        ({"X-API-Key": "ak_local"}, 400),
        ({"X-API-Key": "ak_local", "x-tenant-id": "2"}, 403),
        ({"X-API-Key": "ak_local", "x-axonpush-api-key": "ak_local", "x-tenant-id": "1"}, 400),
        ({"x-axonpush-api-key": "ak_local", "x-tenant-id": "2"}, 403),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/event"),
        ("POST", "/events"),
        ("GET", "/traces"),
        ("GET", "/traces/t/summary"),
        ("GET", "/traces/t/events"),
    ],
)
def test_who_does_not_say_who_they_are_is_refused(
    offline: OfflineGateway, headers: dict[str, str], status: int, method: str, path: str
) -> None:
    answer = offline.send(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.json()["statusCode"] == status
    assert offline.log.records == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=ten", "limit=", "limit=1.5", "page=0", "page=-3", "page=x"]
)
def test_a_page_or_limit_that_is_none_is_400(offline: OfflineGateway, query: str) -> None:
    answer = offline.send("GET", f"/traces?{query}")
    assert answer.status_code == 400
    assert query.split("=", maxsplit=1)[0] in answer.json()["message"]


def test_unknown_paths_and_methods_are_answered_as_json(offline: OfflineGateway) -> None:
    unknown = offline.send("GET", "/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = offline.send("GET", "/event")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["Allow"]) == (405, "method_not_allowed", "POST")


def test_a_sender_finds_its_own_request_id_in_the_error(offline: OfflineGateway) -> None:
    answer = offline.send("GET", "/nothing", headers={"X-Request-Id": "abc-1"})
    assert answer.json()["requestId"] == "abc-1"


def test_without_an_acknowledgement_a_publish_is_503(offline: OfflineGateway) -> None:
    offline.log.acknowledges = False
    for path, body in (("/event", GOOD), ("/events", [GOOD])):
        answer = offline.send("POST", path, headers=HEADERS, json=body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"].isdecimal()
        assert "dedupKey" in answer.json()["hint"]


@pytest.mark.parametrize("path", ["/traces", "/traces/tr_1/summary", "/traces/tr_1/events"])
def test_a_read_without_kafka_is_503(offline: OfflineGateway, path: str) -> None:
    answer = offline.send("GET", path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"].isdecimal()


def test_ready_names_the_parts_that_do_not_answer(offline: OfflineGateway) -> None:
    answer = offline.send("GET", "/health/ready", headers={})
    assert answer.status_code == 503
    parts = answer.json()["parts"]
    assert set(parts) == {"kafka", "clickhouse", "control_data", "pipeline"}
    assert parts["pipeline"]["state"].startswith("not known")
    assert [name for name, state in parts.items() if state == "ok"] == ["control_data"]  # it is in memory here
    assert offline.send("GET", "/health/live", headers={}).status_code == 200

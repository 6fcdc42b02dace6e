"""The gateway of a running stack: what is published over HTTP is read over HTTP, by its tenant, exactly, at once."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import httpx
import orjson
import pytest

from kit.offline_gateway import HEADERS

pytestmark = pytest.mark.services

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}


@pytest.fixture
def client(gateway_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway_url, headers=HEADERS, timeout=60) as client:
        yield client


@pytest.fixture
def trace_id() -> str:
    return f"tr_{token_hex(8)}"


def _event(trace_id: str, **fields: Any) -> dict[str, Any]:
    return {"identifier": "step", "payload": {}, "channel_id": 1, "traceId": trace_id} | fields


def test_what_was_published_is_read_at_once(client: httpx.Client, trace_id: str) -> None:
    for kind in ("agent.tool_call.start", "agent.error", "agent.handoff"):
        answer = client.post("/event", json=_event(trace_id, eventType=kind, agentId="a", spanId=kind))
        assert answer.status_code == 201
    answer = client.get(f"/traces/{trace_id}/summary")
    assert "X-Axonstream-Stale" not in answer.headers
    found = answer.json()
    counts = [found[name] for name in ("totalEvents", "eventCount", "spanCount", "errorCount", "toolCallCount")]
    assert counts == [3, 3, 3, 1, 1]
    assert (found["handoffCount"], found["agents"], found["firstError"]["step"]) == (1, ["a"], 2)
    assert [row["spanId"] for row in found["events"]] == ["agent.tool_call.start", "agent.error", "agent.handoff"]
    assert client.get("/traces?limit=1").json()[0]["traceId"] == trace_id


def test_json_comes_back_as_the_sender_wrote_it(client: httpx.Client, trace_id: str) -> None:
    exact = '{"one": 1.00, "big":1180591620717411303424,"two53":9007199254740993,"none":null, "face":"\\ud83d\\ude00é"}'
    body = f'{{"identifier":"a","channel_id":1,"traceId":"{trace_id}","payload": {exact},"metadata":{exact} }}'
    assert client.post("/event", content=body.encode()).content.count(exact.encode()) == 2
    assert client.get(f"/traces/{trace_id}/events").content.count(exact.encode()) == 2


def test_another_tenant_sees_what_somebody_sees_who_asks_for_nothing(client: httpx.Client, trace_id: str) -> None:
    client.post("/event", json=_event(trace_id))
    for path in ("summary", "events"):
        theirs = client.get(f"/traces/{trace_id}/{path}", headers=OTHER)
        nobodys = client.get(f"/traces/tr_{token_hex(8)}/{path}")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json() | {"requestId": ""} == nobodys.json() | {"requestId": ""}
    assert trace_id not in [row["traceId"] for row in client.get("/traces?limit=1000", headers=OTHER).json()]


def test_the_same_trace_id_of_two_tenants_is_two_traces(client: httpx.Client, trace_id: str) -> None:
    client.post("/event", json=_event(trace_id, identifier="ours"))
    client.post("/event", json=_event(trace_id, identifier="theirs"), headers=OTHER)
    [ours] = client.get(f"/traces/{trace_id}/events").json()
    [theirs] = client.get(f"/traces/{trace_id}/events", headers=OTHER).json()
    assert (ours["identifier"], theirs["identifier"]) == ("ours", "theirs")


def test_an_event_published_again_counts_and_shows_once(client: httpx.Client, trace_id: str) -> None:
    ids = {client.post("/event", json=_event(trace_id, dedupKey="k")).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    found = client.get(f"/traces/{trace_id}/summary").json()
    assert (found["totalEvents"], len(found["events"])) == (1, 1)


def test_a_trace_of_many_events_is_streamed_in_order(client: httpx.Client, trace_id: str) -> None:
    at, number = 1_790_000_000_000, 6000
    lines = [orjson.dumps(_event(trace_id, spanId=str(i), occurredAt=at + i // 2)) for i in range(number)]
    assert client.post("/events", content=b"\n".join(lines)).json()["accepted"] == number
    with client.stream("GET", f"/traces/{trace_id}/events") as answer:
        assert answer.status_code == 200
        assert "content-length" not in answer.headers
        pieces = list(answer.iter_bytes())
    rows = orjson.loads(b"".join(pieces))
    assert [row["spanId"] for row in rows] == [str(i) for i in range(number)]
    assert len(client.get(f"/traces/{trace_id}/summary").json()["events"]) == 100


def test_of_a_bulk_request_the_valid_events_are_read_and_a_refused_one_is_not(
    client: httpx.Client, trace_id: str
) -> None:
    events = [_event(trace_id), _event(trace_id, identifier=""), _event(trace_id, payload={"t": "x" * (1 << 20)})]
    answer = client.post("/events", json=events).json()
    assert (answer["accepted"], [refused["index"] for refused in answer["rejected"]]) == (1, [1, 2])
    assert [row["id"] for row in client.get(f"/traces/{trace_id}/events").json()] == answer["ids"]


def test_after_refused_requests_the_same_connection_works(client: httpx.Client, trace_id: str) -> None:
    too_large = b'{"payload":"' + b"x" * (3 << 20) + b'"}'
    for body, status in ((b"{", 400), (too_large, 413), (b"[]", 400), (b"\xff", 400)):
        assert client.post("/event", content=body).status_code == status
        assert client.post("/event", json=_event(trace_id)).status_code == 201
    assert client.get(f"/traces/{trace_id}/summary").json()["totalEvents"] == 4


def test_it_says_that_it_is_ready(client: httpx.Client) -> None:
    ready = client.get("/health/ready").json()
    pipeline = ready["parts"].pop("pipeline")
    assert ready["parts"] == {"kafka": "ok", "clickhouse": "ok", "control_data": "ok"}
    assert (ready["status"], pipeline["state"]) == ("ok", "ok")
    assert pipeline["eventsLagSeconds"] >= 0
    assert pipeline["summariesLagSeconds"] >= 0

"""`axonstream.testing`'s server and the gateway: the same requests have the same answers.

What differs by nature is masked: times of arrival, ids that are drawn, request ids. Refusals have the same status and
code. Their words are compared where a client can meet them, which checks every event before it sends it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import httpx
import pytest

from axonstream.testing import MemoryServer
from kit.offline_gateway import HEADERS, OfflineGateway

Send = Callable[..., httpx.Response]

TIMES = ("createdAt", "updatedAt", "created_at", "updated_at")
IDS = ("id", "eventId", "idText", "eventIdText")
SMALL: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
FULL: dict[str, Any] = {
    "identifier": "web_search",
    "payload": {"big": 2**70, "one": 1.0, "none": None, "text": "é\u2028😀", "deep": [[{"a": []}]]},
    "channel_id": "7",
    "agentId": "researcher",
    "traceId": "tr/1.",
    "spanId": "sp_1",
    "parentEventId": 2**53 + 1,
    "parentSpanId": "sp_0",
    "eventType": "agent.tool_call.start",
    "metadata": {"a": [1]},
    "dedupKey": "once",
    "environment": "staging",
    "occurredAt": "2026-01-31T12:00:00.005Z",
}
STEP: dict[str, Any] = {
    "sessionId": "s_1",
    "userId": "",
    "serviceName": "billing",
    "model": "m",
    "inputTokens": 0,
    "outputTokens": 10**12,
    "costUsd": 0.1,
    "status": "error",
    "errorType": "TimeoutError",
    "durationMs": 5,
}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEEP = b'{"identifier":"a","channel_id":1,"payload":' + b'{"a":' * 150 + b"1" + b"}" * 151

PUBLISHES: dict[str, dict[str, Any]] = {
    "every field": {"json": FULL},
    "the fewest fields": {"json": SMALL | {"traceId": "t", "dedupKey": "k"}},
    "no dedup key": {"json": SMALL | {"traceId": "t"}},
    "a dedup key and no trace": {"json": SMALL | {"dedupKey": "order 7"}},
    "empty texts": {"json": SMALL | {"traceId": "t", "agentId": "", "spanId": "", "dedupKey": "k"}},
    "nulls": {"json": SMALL | {"traceId": "t", "dedupKey": "k", "eventType": None, "metadata": None, "agentId": None}},
    "a parent that is text": {"json": SMALL | {"traceId": "t", "dedupKey": "k", "parentEventId": "007"}},
    "names of Python": {"json": SMALL | {"trace_id": "t", "dedup_key": "k", "agent_id": "a"}},
    "a traceparent": {"json": SMALL | {"dedupKey": "k"}, "headers": HEADERS | {"traceparent": TRACEPARENT}},
    "a traceparent and a trace": {
        "json": SMALL | {"traceId": "t", "dedupKey": "k"},
        "headers": HEADERS | {"traceparent": TRACEPARENT},
    },
    "an environment of the request": {
        "json": SMALL | {"traceId": "t", "dedupKey": "k"},
        "headers": HEADERS | {"X-AxonPush-Environment": "staging"},
    },
    "a step": {"json": SMALL | {"traceId": "t", "dedupKey": "k"} | STEP},
    "a step by names of Python": {
        "json": SMALL | {"trace_id": "t", "dedup_key": "k", "input_tokens": 0, "cost_usd": 0, "status": "ok"}
    },
    "a cost of 18 digits": {
        "content": b'{"identifier":"a","payload":{},"channel_id":1,"traceId":"t","dedupKey":"k","costUsd":%b}'
        % b"123456.123456789012"
    },
    "a step that says nothing": {"json": SMALL | {"traceId": "t", "dedupKey": "k"} | dict.fromkeys(STEP)},
    "tokens that are text": {"json": SMALL | {"inputTokens": "5"}},
    "a cost that is text": {"json": SMALL | {"costUsd": "5"}},
    "a cost that is negative": {"json": SMALL | {"cost_usd": -5}},
    "an unknown status": {"json": SMALL | {"status": "failed"}},
    "no identifier": {"json": {"payload": {}, "channel_id": 1}},
    "an identifier that is too long": {"json": SMALL | {"identifier": "é" * 129}},
    "a NUL": {"json": SMALL | {"identifier": "a\x00"}},
    "a payload that is a list": {"json": SMALL | {"payload": []}},
    "a channel that is true": {"json": SMALL | {"channel_id": True}},
    "an empty trace": {"json": SMALL | {"traceId": ""}},
    "a wrong type": {"json": SMALL | {"eventType": "Agent Start"}},
    "seconds": {"json": SMALL | {"occurredAt": 1_769_860_800}},
    "no JSON": {"content": b"{"},
    "NaN": {"content": b'{"identifier":"a","channel_id":1,"payload":{"a":NaN}}'},
    "an empty body": {"content": b""},
    "text": {"json": "text"},
    "too deep": {"content": DEEP},
    "too many values": {"json": SMALL | {"payload": {"a": [0] * 50_001}}},
    "too large": {"json": SMALL | {"payload": {"a": "x" * (1 << 20)}}},
    "a parameter": {"json": SMALL, "params": {"traceId": "t"}},
}
BULKS: dict[str, dict[str, Any]] = {
    "two good ones": {"json": [FULL, SMALL | {"traceId": "t", "dedupKey": "k"}]},
    "one of them wrong": {"json": [FULL, SMALL | {"identifier": ""}, SMALL | {"dedupKey": "k"}]},
    "lines": {"content": b"\n".join(json.dumps(one).encode() for one in (FULL, SMALL | {"dedupKey": "k"})) + b"\n\n"},
    "all wrong": {"json": [{}, 7]},
    "one wrong": {"json": [{}]},
    "one too deep": {"content": b"[" + DEEP + b"," + json.dumps(FULL).encode() + b"]"},
    "empty": {"json": []},
    "nothing": {"content": b""},
    "no JSON": {"content": b"["},
    "too many": {"json": [0] * 50_001},
    "costs": {
        "content": b"[" + json.dumps(FULL | STEP).encode() + b"," + json.dumps(SMALL | {"costUsd": "1"}).encode() + b"]"
    },
}
# The words of these are the same, too.
SAID: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no key": ("POST", "/event", {"json": SMALL, "headers": {"x-tenant-id": "1"}}),
    "no tenant": ("POST", "/event", {"json": SMALL, "headers": {"X-API-Key": "ak_local"}}),
    "another tenant": ("POST", "/event", {"json": SMALL, "headers": HEADERS | {"x-tenant-id": "2"}}),
    "an unknown key": ("POST", "/event", {"json": SMALL, "headers": HEADERS | {"X-API-Key": "ak_none"}}),
    "an empty body": ("POST", "/event", {"content": b""}),
    "a number": ("POST", "/event", {"json": 7}),
    "too large": ("POST", "/event", {"content": b" " * (1 << 20) + b"{}"}),
    "no event": ("POST", "/events", {"json": []}),
    "no path": ("GET", "/none", {}),
    "no method": ("PUT", "/traces", {}),
}


def in_memory() -> Send:
    server = MemoryServer({"ak_local": "1", "ak_other": "2"})

    def send(method: str, path: str, **request: Any) -> httpx.Response:
        request.setdefault("headers", HEADERS)
        with httpx.Client(transport=server.transport, base_url="http://memory") as client:
            return client.request(method, path, **request)

    return send


def masked(value: Any) -> Any:
    """`value` without what differs by nature."""
    if isinstance(value, list):
        return [masked(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: masked(one) for name, one in value.items()}
    hidden = [*TIMES, "requestId"]
    if "kind" in found:  # a step is named by its place in the log
        hidden += ["step"]
    if "identifier" in found and "dedupKey" in found and not found["dedupKey"]:
        hidden += IDS
    if "occurredAt" in found and found["occurredAt"] == found["createdAt"]:
        hidden += ["occurredAt"]
    return found | {name: "masked" for name in hidden if name in found}


def told(answer: httpx.Response, *, words: bool = False) -> Any:
    """Status and content of an answer; of a refusal what programs read."""
    body = answer.json()
    if answer.status_code < 400:
        return answer.status_code, masked(body)
    assert body["message"]
    assert body["hint"]
    assert answer.headers["X-Request-Id"] == body["requestId"]
    refused = {name: one for name, one in body.items() if name not in ("message", "hint", "requestId", "rejected")}
    refused["rejected"] = [one["index"] for one in body.get("rejected", [])]
    return answer.status_code, refused | ({"message": body["message"]} if words else {})


@pytest.mark.parametrize("name", PUBLISHES)
def test_a_publish_has_the_same_answer(name: str) -> None:
    gateway = told(OfflineGateway().send("POST", "/event", **PUBLISHES[name]))
    assert told(in_memory()("POST", "/event", **PUBLISHES[name])) == gateway


@pytest.mark.parametrize("name", BULKS)
def test_a_bulk_has_the_same_answer(name: str) -> None:
    gateway = told(OfflineGateway().send("POST", "/events", **BULKS[name]))
    status, answer = told(in_memory()("POST", "/events", **BULKS[name]))
    if status == 200:  # ids that are drawn, of events without a dedup key
        answer["rejected"] = [one["index"] for one in answer["rejected"]]
        gateway[1]["rejected"] = [one["index"] for one in gateway[1]["rejected"]]
    assert (status, answer) == gateway


@pytest.mark.parametrize("name", SAID)
def test_a_refusal_that_a_client_can_meet_has_the_same_words(name: str) -> None:
    method, path, request = SAID[name]
    gateway = told(OfflineGateway().send(method, path, **request), words=True)
    assert told(in_memory()(method, path, **request), words=True) == gateway


def story(mark: str) -> list[dict[str, Any]]:
    """Two traces: one with errors out of order, a repeat and all kinds of events; and one of another agent."""
    kinds = ("agent.start", "agent.handoff", "agent.error", "agent.tool_call.start", "agent.error", "custom")
    at = (5, 4, 3, 2, 1, 5)
    events = [
        SMALL
        | {
            "identifier": f"step {number}",
            "payload": {"number": number},
            "traceId": f"tr_{mark}",
            "agentId": f"{'ab'[number % 2]}_{mark}",
            "dedupKey": f"k{number}",
            "eventType": kind,
            "environment": "" if number < 3 else f"e{number}",
            "occurredAt": 1_769_860_800_000 + at[number],
        }
        for number, kind in enumerate(kinds)
    ]
    repeat = events[0] | {"identifier": "again", "agentId": f"c_{mark}"}
    other = FULL | {"traceId": f"tr_{mark}/.2", "agentId": f"a_{mark}"}
    return [*events, repeat, other]


def reads(mark: str) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for trace in (f"tr_{mark}", f"tr_{mark}%2F%2E2", "tr_none"):
        found += [
            (f"/traces/{trace}/summary", {}),
            (f"/traces/{trace}/summary", {"events": 0}),
            (f"/traces/{trace}/events", {}),
            (f"/traces/{trace}", {}),
        ]
    agent = {"agentId": f"a_{mark}"}
    found += [
        ("/events", agent),
        ("/events", agent | {"eventType": "agent.error"}),
        ("/events", agent | {"channelId": 7, "environment": "staging", "source": "app"}),
        ("/events", agent | {"channelId": "none"}),
        ("/events", agent | {"since": 1_769_860_800_003, "until": "2026-01-31T12:00:00.005Z"}),
        ("/events", {"traceId": f"tr_{mark}", "limit": 1000}),
        ("/event/1/list", agent),
        ("/event/7/list", agent),
        ("/event/7/list", {"agentId": f"none_{mark}"}),
        ("/event/4711471147/list", {}),
        ("/event/none/list", {}),
        ("/event/1/list", agent | {"page": 2, "limit": 2}),
        ("/traces", {"limit": 0}),
        ("/traces", {"limit": "many"}),
        ("/traces", {"page": 1, "cursor": "x"}),
        ("/traces", {"cursor": "x"}),
        ("/traces", {"offset": 10_001}),
        ("/traces", {"since": 1_769_860_800}),
        ("/traces", {"since": "yesterday"}),
        ("/traces", {"sinse": 1}),
    ]
    return found


@pytest.mark.services
def test_what_was_published_is_read_alike(gateway_url: str) -> None:
    mark = token_hex(8)
    memory = in_memory()
    with httpx.Client(base_url=gateway_url, headers=HEADERS, timeout=60) as client:
        for event in story(mark):
            published = told(client.post("/event", json=event))
            assert told(memory("POST", "/event", json=event)) == published
        for path, query in reads(mark):
            gateway = told(client.get(path, params=query))
            assert (path, query, told(memory("GET", path, params=query))) == (path, query, gateway)

        def ours(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [row for row in rows if mark in row["traceId"]]

        for query in ({"limit": 1000}, {"limit": 1000, "since": "2026-01-31T12:00:00Z", "until": 1_769_860_800_006}):
            listed = ours(client.get("/traces", params=query).json())
            assert len(listed) == 2
            assert masked(memory("GET", "/traces", params=query).json()) == masked(listed)

        def walk(send: Send) -> list[list[str]]:
            pages: list[list[str]] = []
            more: dict[str, str] = {}
            while not pages or more:
                answer = send("GET", "/events", params={"agentId": f"a_{mark}", "limit": "2"} | more)
                pages.append([event["identifier"] for event in answer.json()["events"]])
                cursor = answer.headers.get("X-Axonstream-Next-Cursor")
                more = {} if cursor is None else {"cursor": cursor}
            return pages

        assert walk(memory) == walk(client.request) == [["web_search", "step 4"], ["step 2", "step 0"], []]
        hidden = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
        for path in (f"/traces/tr_{mark}", f"/traces/tr_{mark}/summary"):
            assert told(memory("GET", path, headers=hidden)) == told(client.get(path, headers=hidden))

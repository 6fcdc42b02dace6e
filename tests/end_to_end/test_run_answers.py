"""How a run stands, what it took and cost: over HTTP in both generations, by the SDK and by SQL, from the summary and
from a recount of the events alike."""

from __future__ import annotations

from decimal import Decimal
from secrets import token_hex
from typing import Any

import httpx
import pytest

from axonstream import AxonPush
from axonstream.clickhouse.client import connect_blocking
from axonstream.settings.settings import Settings
from kit.running_stack import HEADERS

pytestmark = pytest.mark.services

RECENT = {"x-axonpush-api-key": "ak_local"}
AT = 1_790_000_000_000
OF_RUN = {
    "sessionId": "s-1",
    "userId": "u-7",
    "customer": "acme",
    "workflow": "reports",
    "serviceName": "writer",
    "release": "2.1",
}


def run(trace_id: str, *, recovers: bool) -> list[dict[str, Any]]:
    """A run with a tool call that fails and an LLM call that costs something; then it ends well, or does not."""

    def event(after_ms: int, kind: str, name: str, span: str, parent: str = "", **more: Any) -> dict[str, Any]:
        return {
            "identifier": name,
            "payload": more.pop("payload", {}),
            "channel_id": 1,
            "traceId": trace_id,
            "agentId": "a",
            "eventType": f"agent.{kind}",
            "spanId": span,
            "parentSpanId": parent or None,
            "occurredAt": AT + after_ms,
            **more,
        }

    used = {"model": "m-1", "provider": "p", "inputTokens": 100, "outputTokens": 20, "costUsd": 0.0031}
    return [
        event(0, "start", "report", "r", **OF_RUN),
        event(10, "tool_call.start", "search", "s", "r", payload={"query": "q"}),
        event(40, "error", "boom", "s", "r", errorType="Timeout", payload={"message": "no answer"}),
        event(50, "llm.start", "ask", "l", "r", model="m-1"),
        event(90, "llm.end", "ask", "l", "r", **used),
        event(95, "llm.start", "ask", "k", "r", model="m-2"),
        event(99, "llm.end", "ask", "k", "r", model="m-2", inputTokens=1),
        event(100, "end", "report", "r", status="ok" if recovers else "error", inputTokens=999),
    ]


def published(url: str, events: list[dict[str, Any]]) -> None:
    answer = httpx.post(f"{url}/events", json=events, headers=HEADERS, timeout=60)
    assert (answer.status_code, answer.json()["accepted"]) == (200, len(events)), answer.text


def read(url: str, path: str, headers: dict[str, str]) -> Any:
    answer = httpx.get(url + path, headers=headers, timeout=60)
    assert (answer.status_code, "X-Axonstream-Stale" in answer.headers) == (200, False), answer.text
    return answer.json()


def must_tell(told: dict[str, Any], *, recovers: bool) -> None:
    expected = OF_RUN | {
        "status": "ok" if recovers else "failed",
        "statusBasis": "root_ended" if recovers else "root_failed",
        "outcome": "success" if recovers else "failure",
        "recoveredErrors": 1 if recovers else 0,
        "firstErrorType": "Timeout",
        "rootSpanName": "report",
        "models": ["m-1", "m-2"],
        "providers": ["p"],
        "totalTokens": 121,
        "inputTokens": 101,
        "outputTokens": 20,
        "costUsd": 0.0031,
        "costUsdText": "0.0031",
        "unpricedCalls": 1,
        "llmCallCount": 2,
        "toolErrorCount": 1,
        "openStepCount": 0,
        "openSteps": [],
    }
    assert {name: told[name] for name in expected} == expected
    slowest = {name: told["slowestStep"][name] for name in ("kind", "name", "agentId", "durationMs")}
    assert slowest == {"kind": "agent", "name": "report", "agentId": "a", "durationMs": 100}
    assert told["firstError"]["type"] == "Timeout"


@pytest.mark.parametrize("recovers", [True, False])
def test_a_run_is_told_alike_by_every_read_and_by_a_recount(
    recovers: bool, gateway_url: str, stack_settings: Settings
) -> None:
    trace_id = f"tr_{token_hex(8)}"
    published(gateway_url, run(trace_id, recovers=recovers))
    summary = read(gateway_url, f"/traces/{trace_id}/summary", HEADERS)
    must_tell(summary, recovers=recovers)
    [began] = [event for event in summary["events"] if event["eventType"] == "agent.tool_call.start"]
    assert summary["firstError"]["inputEventId"] == began["eventId"]
    must_tell(read(gateway_url, f"/traces/{trace_id}", RECENT), recovers=recovers)
    [listed] = [one for one in read(gateway_url, "/traces?limit=100", HEADERS) if one["traceId"] == trace_id]
    must_tell(listed, recovers=recovers)
    with AxonPush("ak_local", "1", base_url=gateway_url) as client:
        result = client.traces.get_summary(trace_id)
    assert (result.cost_usd, result.total_tokens, result.status) == (Decimal("0.0031"), 121, summary["status"])

    database = connect_blocking(stack_settings)
    try:
        database.database = stack_settings.clickhouse_database
        given = {"trace": trace_id}
        sql = "SELECT status, recovered_errors, toString(cost_usd), exact FROM traces WHERE trace_id = {trace:String}"
        assert database.query(sql, parameters=given).result_rows == [
            (summary["status"], summary["recoveredErrors"], "0.0031", 1)
        ]
        sql = """SELECT kind, name, status, duration_ms, depth, attempt, session_id, error_type, error_message
            FROM steps WHERE trace_id = {trace:String} ORDER BY started_at"""
        assert database.query(sql, parameters=given).result_rows == [
            ("agent", "report", "ok" if recovers else "error", 100, 0, 1, "s-1", "", ""),
            ("tool", "search", "error", 30, 1, 1, "s-1", "Timeout", "no answer"),
            ("llm", "ask", "ok", 40, 1, 1, "s-1", "", ""),
            ("llm", "ask", "ok", 4, 1, 2, "s-1", "", ""),
        ]
        database.command(
            "INSERT INTO trace_summaries SELECT * REPLACE (0 AS exact, 0 AS event_count, '' AS root_kind) "
            "FROM trace_summaries FINAL WHERE trace_id = {trace:String}",
            parameters=given,
        )
    finally:
        database.close()
    recounted = read(gateway_url, f"/traces/{trace_id}/summary", HEADERS)
    assert recounted == summary, "the summary says that it is not exact: the events say the same"


def test_a_run_that_goes_on_names_what_is_open(gateway_url: str) -> None:
    trace_id = f"tr_{token_hex(8)}"
    published(gateway_url, run(trace_id, recovers=True)[:2])
    summary = read(gateway_url, f"/traces/{trace_id}/summary", HEADERS)
    assert (summary["status"], summary["statusBasis"], summary["outcome"]) == ("running", "open_steps", None)
    assert [(step["kind"], step["name"], step["agentId"]) for step in summary["openSteps"]] == [
        ("agent", "report", "a"),
        ("tool", "search", "a"),
    ]
    assert summary["openSteps"][1]["since"].endswith(".010Z")
    assert (summary["totalTokens"], summary["costUsd"], summary["models"]) == (None, None, None)

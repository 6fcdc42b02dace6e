"""Questions about traces. Each test runs on the sync and on the async client."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from scripted_server import EVENT, Ask, Server

from axonstream import EventType, FirstError, TraceListItem, TraceSummary, ValidationError

SUMMARY = {
    "traceId": "tr_1",
    "totalEvents": 12,
    "eventCount": 12,
    "spanCount": 12,
    "durationMs": 345,
    "duration": 345,
    "startTime": "2026-01-31T12:00:00.000Z",
    "endTime": "2026-01-31T12:00:00.345Z",
    "errorCount": 1,
    "toolCallCount": 3,
    "handoffCount": 2,
    "agents": ["planner", "researcher"],
    "eventTypes": ["agent.start", "my.type"],
    "firstError": {"eventId": 9, "step": 8, "spanId": "sp_8", "identifier": "fetch", "agentId": "researcher"},
    "events": [],
    "costUsd": 0,
}


def test_a_summary_is_typed_and_asks_for_no_events(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json=SUMMARY)]
    summary = ask(lambda client: client.traces.get_summary("tr_1"))
    assert server.requests[0].url.raw_path == b"/traces/tr_1/summary?events=0"
    assert summary == TraceSummary(
        trace_id="tr_1",
        total_events=12,
        duration_ms=345,
        start_time=datetime(2026, 1, 31, 12, tzinfo=UTC),
        end_time=datetime(2026, 1, 31, 12, 0, 0, 345_000, tzinfo=UTC),
        error_count=1,
        tool_call_count=3,
        handoff_count=2,
        agents=("planner", "researcher"),
        event_types=(EventType.AGENT_START, "my.type"),
        first_error=FirstError(event_id=9, step=8, span_id="sp_8", identifier="fetch", agent_id="researcher"),
        cost_usd=Decimal(0),
        stale=False,
    )
    assert summary.event_count == summary.total_events


def test_a_trace_without_errors_has_no_first_error(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json=SUMMARY | {"firstError": None})]
    assert ask(lambda client: client.traces.get_summary("tr_1")).first_error is None


def test_a_list_of_traces_is_typed_and_paged(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json=[SUMMARY, SUMMARY | {"traceId": "tr_2"}])]
    traces = ask(lambda client: client.traces.list(page=2, limit=5))
    assert server.requests[0].url.raw_path == b"/traces?page=2&limit=5"
    assert [type(trace) for trace in traces] == [TraceListItem, TraceListItem]
    assert [(trace.trace_id, trace.event_count, trace.duration_ms) for trace in traces] == [
        ("tr_1", 12, 345),
        ("tr_2", 12, 345),
    ]


def test_events_of_a_trace_print_as_on_the_seed_page(ask: Ask, server: Server):
    server.script = [httpx.Response(200, json=[EVENT | {"spanId": "sp_1", "eventType": "agent.error"}])]
    [event] = ask(lambda client: client.traces.get_events("tr_1"))
    assert server.requests[0].url.path == "/traces/tr_1/events"
    assert f"  [{event.span_id}] {event.identifier} ({event.event_type})" == "  [sp_1] web_search (agent.error)"


def test_staleness_is_told_by_every_question(ask: Ask, server: Server):
    stale = {"X-Axonstream-Stale": "true"}
    server.script = [
        httpx.Response(200, json=SUMMARY, headers=stale),
        httpx.Response(200, json=[], headers=stale),
        httpx.Response(200, json=[EVENT], headers=stale),
        httpx.Response(200, json=[EVENT]),
    ]
    assert ask(lambda client: client.traces.get_summary("tr_1")).stale
    assert ask(lambda client: client.traces.list()).stale
    assert ask(lambda client: client.traces.get_events("tr_1")).stale
    assert not ask(lambda client: client.traces.get_events("tr_1")).stale


@pytest.mark.parametrize("trace_id", ["..", ".", "a/b", "a?b#c", "ü %2F", "tr_1/../tr_2"])
def test_any_trace_id_stays_one_segment_of_the_path(ask: Ask, server: Server, trace_id: str):
    server.script = [httpx.Response(200, json=[])]
    ask(lambda client: client.traces.get_events(trace_id))
    path = server.requests[0].url.raw_path.decode()
    assert path.count("/") == 3
    assert path.startswith("/traces/")
    assert path.endswith("/events")
    assert server.requests[0].url.path == f"/traces/{trace_id}/events"


@pytest.mark.parametrize("trace_id", ["", "x" * 257, "\ud800"])
def test_an_id_that_no_trace_can_have_is_refused_here(ask: Ask, server: Server, trace_id: str):
    with pytest.raises(ValidationError, match="trace_id"):
        ask(lambda client: client.traces.get_summary(trace_id))
    assert server.requests == []

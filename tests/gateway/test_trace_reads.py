"""Trace reads against real Kafka and real ClickHouse, without a sink: the test decides what is stored and visible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from stored_by_hand import commit, event, store, summary

from axonstream.gateway.app import create_app
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.settings.settings import Settings
from kit.offline_gateway import HEADERS

pytestmark = pytest.mark.services

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
AT = time.time_ns() // 1_000_000  # rows of long ago would expire at once


@asynccontextmanager
async def _gateway(settings: Settings, **changes: Any) -> AsyncGenerator[httpx.AsyncClient]:
    keys: dict[str, Any] = {"api_keys": SecretStr("ak_local=1,ak_other=2"), "read_wait_ms": 60_000}
    app = create_app(settings.model_copy(update=keys | changes))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HEADERS) as client,
    ):
        yield client


def test_a_read_is_404_503_stale_or_true_by_what_is_visible(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with (
            _gateway(server_settings, read_wait_ms=60_000) as client,
            _gateway(server_settings, read_wait_ms=400) as impatient,
        ):
            unknown = await client.get("/traces/t/summary")
            assert unknown.status_code == 404  # nothing was ever published: at once, and not stale
            sent = {"identifier": "step", "payload": {}, "channel_id": 1, "traceId": "t"}
            assert (await client.post("/event", json=sent)).status_code == 201
            for path in ("/traces/t/summary", "/traces/t/events", "/traces"):
                answer = await impatient.get(path)
                assert answer.status_code == 503
                assert answer.headers["Retry-After"].isdecimal()
            await store(server_settings, [event("t", 0, AT)], [summary("t", AT)])
            for path in ("/traces/t/summary", "/traces/t/events", "/traces"):
                answer = await impatient.get(path)
                assert (answer.status_code, answer.headers["X-Axonstream-Stale"]) == (200, "true")
            await commit(server_settings, 1)
            for path in ("/traces/t/summary", "/traces/t/events", "/traces"):
                answer = await client.get(path)
                assert answer.status_code == 200
                assert "X-Axonstream-Stale" not in answer.headers
            for path in ("/traces/t/summary", "/traces/t/events"):
                theirs, nobodys = await client.get(path, headers=OTHER), await client.get(path.replace("/t/", "/u/"))
                assert theirs.status_code == nobodys.status_code == 404
                assert theirs.json() | {"requestId": ""} == nobodys.json() | {"requestId": ""}
            assert (await client.get("/traces", headers=OTHER)).json() == []

    asyncio.run(scenario())


def test_a_waiting_read_answers_as_soon_as_the_sink_has_committed(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with _gateway(server_settings, read_wait_ms=60_000) as client:
            sent = {"identifier": "step", "payload": {}, "channel_id": 1, "traceId": "t"}
            await client.post("/event", json=sent)
            read = asyncio.create_task(client.get("/traces/t/summary"))
            await store(server_settings, [event("t", 0, AT)], [summary("t", AT)])
            assert not read.done()
            await commit(server_settings, 1)
            answer = await read
            assert (answer.status_code, answer.json()["totalEvents"]) == (200, 1)
            assert "X-Axonstream-Stale" not in answer.headers

    asyncio.run(scenario())


ODD_IDS = [
    "a/b",
    "a/summary",
    "tab\there",
    "it's",
    'say "x"',
    "back\\slash",
    "100%",
    "é😀",
    "{tenant:String}",
    "a\nb",
    "?#&",
]


def test_any_trace_id_can_be_read(server_settings: Settings) -> None:
    async def scenario() -> None:
        await store(
            server_settings,
            [event(trace_id, i, AT + i) for i, trace_id in enumerate(ODD_IDS)],
            [summary(trace_id, AT) for trace_id in ODD_IDS[:-1]] + [summary(ODD_IDS[-1], AT, exact=0, event_count=99)],
        )
        async with _gateway(server_settings) as client:
            for trace_id in ODD_IDS:
                path = f"/traces/{quote(trace_id, safe='')}"
                found = (await client.get(f"{path}/summary")).json()
                assert (found["traceId"], found["totalEvents"]) == (trace_id, 1)
                assert [row["traceId"] for row in (await client.get(f"{path}/events")).json()] == [trace_id]

    asyncio.run(scenario())


def test_pages_neither_repeat_nor_skip_and_the_newest_is_first(server_settings: Settings) -> None:
    async def scenario() -> None:
        traces = [summary(f"t{i:04}", AT + i // 3, last_received_at=AT + i // 3) for i in range(1203)]
        await store(server_settings, [], traces)
        async with _gateway(server_settings) as client:
            seen: list[str] = []
            for page in range(1, 14):
                seen += [t["traceId"] for t in (await client.get(f"/traces?page={page}&limit=100")).json()]
            assert seen == [f"t{i:04}" for i in reversed(range(1203))]
            assert len((await client.get("/traces?limit=5000")).json()) == 1000
            assert len((await client.get("/traces")).json()) == 20

    asyncio.run(scenario())


def test_events_come_in_order_of_time_then_arrival_and_repeats_once(server_settings: Settings) -> None:
    async def scenario() -> None:
        payload = '{"x": 1.00, "big":1180591620717411303424}'
        rows = [
            event("t", 0, AT + 5, span_id="late"),
            event("t", 1, AT, span_id="a", payload=payload, metadata=payload),
            event("t", 2, AT, span_id="b", event_id=9, dedup_key="k"),
            event("t", 3, AT - 1, span_id="repeat", event_id=9, dedup_key="k"),
            event("t", 4, AT, span_id="c", event_id=9),
            event("t", 5, AT, span_id="d", event_id=9),
        ]
        await store(server_settings, rows, [summary("t", AT)])
        async with _gateway(server_settings) as client:
            answer = await client.get("/traces/t/events")
            assert [row["spanId"] for row in answer.json()] == ["a", "b", "c", "d", "late"]
            assert answer.content.count(payload.encode()) == 2
            assert len((await client.get("/traces/t/summary")).json()["events"]) == 5
            assert (await client.get("/traces/t/summary?events=0")).json()["events"] == []
            assert (await client.get("/traces/t/summary?events=some")).status_code == 400

    asyncio.run(scenario())


def _naive(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of a trace as their definition says, over its stored rows."""
    kept: dict[object, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["_offset"]):
        kept.setdefault((row["event_id"], row["dedup_key"] or row["_offset"]), row)
    arrived = list(kept.values())
    happened = sorted(arrived, key=lambda row: (row["occurred_at"], row["_offset"]))
    types = [row["event_type"] for row in arrived]
    errors = [i for i, row in enumerate(happened) if row["event_type"] == "agent.error"]
    first = errors[0] if errors else None
    return {
        "totalEvents": len(arrived),
        "errorCount": len(errors),
        "toolCallCount": types.count("agent.tool_call.start"),
        "handoffCount": types.count("agent.handoff"),
        "durationMs": happened[-1]["occurred_at"] - happened[0]["occurred_at"],
        "agents": list(dict.fromkeys(row["agent_id"] for row in arrived if row["agent_id"])),
        "eventTypes": list(dict.fromkeys(types)),
        "firstError": None if first is None else (first + 1, happened[first]["event_id"], happened[first]["agent_id"]),
    }


_TYPES = st.sampled_from(["agent.error", "agent.tool_call.start", "agent.handoff", "custom"])
_ROWS = st.lists(
    st.tuples(st.integers(0, 6), _TYPES, st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["", "", "k", "l"])),
    min_size=1,
    max_size=12,
)


def test_an_inexact_summary_is_recomputed_from_the_events(server_settings: Settings) -> None:
    async def read(trace_id: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        await store(server_settings, rows, [summary(trace_id, AT, exact=0, event_count=999)])
        queries = TraceQueries(ClickHouseReads(server_settings))
        try:
            found = await queries.trace("1", trace_id)
            assert found is not None
            [listed] = [row for row in (await queries.page("1", 1000)).traces if row.trace_id == trace_id]
            assert listed == found
        finally:
            await queries.reads.close()
        error = found.first_error
        return {
            "totalEvents": found.event_count,
            "errorCount": found.counts[0],
            "toolCallCount": found.counts[1],
            "handoffCount": found.counts[2],
            "durationMs": found.last_at - found.first_at,
            "agents": found.agents,
            "eventTypes": found.event_types,
            "firstError": None if error is None else (error.step, error.event_id, error.agent_id),
        }

    numbers = iter(range(1000))

    @example_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(_ROWS)
    def agrees(drawn: list[tuple[int, str, str, str]]) -> None:
        trace_id = f"t{next(numbers)}"
        rows = [
            event(trace_id, offset, AT + at, event_type=kind, agent_id=agent, dedup_key=key)
            | ({"event_id": ord(key)} if key else {})
            for offset, (at, kind, agent, key) in enumerate(drawn)
        ]
        assert asyncio.run(read(trace_id, rows)) == _naive(rows)

    agrees()


def test_a_trace_in_two_segments_is_counted_whole(server_settings: Settings) -> None:
    async def scenario() -> None:
        rows = [event("t", 0, AT, agent_id="a"), event("t", 1, AT + 9, event_type="agent.error", agent_id="b")]
        segments = [summary("t", AT, first_offset=0), summary("t", AT + 9, first_offset=1, error_count=1)]
        await store(server_settings, rows, segments)
        async with _gateway(server_settings) as client:
            found = (await client.get("/traces/t/summary")).json()
            assert (found["totalEvents"], found["durationMs"], found["agents"]) == (2, 9, ["a", "b"])
            assert found["firstError"] == {
                "eventId": 1001, "eventIdText": "1001", "step": 2, "spanId": None, "identifier": "step", "agentId": "b",
                "type": None, "inputEventId": None,
            }  # fmt: skip

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/traces", "/traces/t/summary", "/traces/t/events"])
def test_a_read_without_clickhouse_is_503(server_settings: Settings, path: str) -> None:
    async def scenario() -> None:
        async with _gateway(server_settings, clickhouse_url="http://127.0.0.1:1") as client:
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["Retry-After"].isdecimal()
            parts = (await client.get("/health/ready")).json()["parts"]
            assert parts["kafka"] == "ok"
            assert parts["clickhouse"] != "ok"

    asyncio.run(scenario())

"""Lists of events on real ClickHouse: order, pages, filters, repeats; and the recent form of the trace reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from gateway_in_process import gateway_in_process
from stored_by_hand import event, store, summary

from axonstream.gateway.reading.list_cursor import NEXT_CURSOR
from axonstream.gateway.routing.wire_values import iso_time
from axonstream.settings.settings import Settings
from kit.offline_gateway import HEADERS, OfflineGateway

RECENT = {"x-axonpush-api-key": "ak_local"}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
AT = time.time_ns() // 1_000_000 - 7_200_000  # two hours ago: outside of the window that is looked into first


def told(
    settings: Settings, events: list[dict[str, Any]], scenario: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]
) -> None:
    async def run() -> None:
        await store(settings, events, [])
        async with gateway_in_process(settings) as client:
            await scenario(client)

    asyncio.run(run())


async def ask(client: httpx.AsyncClient, path: str, headers: dict[str, str] = HEADERS) -> httpx.Response:
    return await client.get(path, headers=headers)


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["identifier"] for row in rows]


@pytest.mark.services
def test_pages_are_the_newest_first_and_neither_repeat_nor_skip(server_settings: Settings) -> None:
    rows = [event(f"t{n % 3}", n, AT + n // 2, channel_id=5, identifier=str(n)) for n in range(25)]
    rows += [event("t9", 100 + n, AT + 3_600_000 * n, channel_id=6, identifier=f"other {n}") for n in range(3)]

    async def scenario(client: httpx.AsyncClient) -> None:
        newest = [str(n) for n in reversed(range(25))]
        assert names((await ask(client, "/event/5/list?limit=100")).json()) == newest
        assert names((await ask(client, "/event/5/list")).json()) == newest[:10]
        pages = [(await ask(client, f"/event/5/list?limit=7&page={page}")).json() for page in range(1, 6)]
        assert [name for page in pages for name in names(page)] == newest
        assert pages[4] == []
        assert names((await ask(client, "/event/6/list")).json()) == ["other 2", "other 1", "other 0"]
        assert (await ask(client, "/event/1/list")).json() == []
        for path in ("/event/7/list", "/event/x/list", f"/event/{2**63}/list"):
            assert (await ask(client, path)).status_code == 404
        assert (await ask(client, "/event/5/list", OTHER)).status_code == 404

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_every_filter_leaves_what_it_says(server_settings: Settings) -> None:
    rows = [
        event("t1", 0, AT, channel_id=5, identifier="a", agent_id="x", event_type="agent.error", environment="prod"),
        event("t2", 1, AT + 10, channel_id=5, identifier="b", agent_id="y"),
        event("t2", 2, AT + 20, channel_id=6, identifier="c", agent_id="x", source="otlp"),
        event("t2", 3, AT + 30, channel_id=1, identifier="d"),
    ]
    expected = {
        "/event/5/list?agentId=x": "a",
        "/event/5/list?eventType=agent.error": "a",
        "/event/5/list?traceId=t2": "b",
        "/event/5/list?environment=prod": "a",
        "/event/1/list?agentId=x&traceId=t2": "",
        "/events": "dcba",
        "/events?limit=2": "dc",
        "/events?channelId=6": "c",
        "/events?agentId=x": "ca",
        "/events?source=otlp": "c",
        "/events?appId=1": "d",
        "/events?appId=1&channelId=5": "",
        "/events?appId=77": "",
        "/events?channelId=x": "",
        f"/events?since={iso_time(AT + 10)}": "dcb",
        f"/events?until={iso_time(AT + 10)}": "a",
        f"/events?since={AT + 10}&until={AT + 30}": "cb",
        f"/events?traceId=t2&since={iso_time(AT + 11)}&agentId=x": "c",
        "/events?agentId=%27%20OR%201%3D1": "",
    }

    async def scenario(client: httpx.AsyncClient) -> None:
        for path, wanted in expected.items():
            for headers in (HEADERS, RECENT):
                found = (await ask(client, path, headers)).json()
                listed = found["events"] if path.startswith("/events") else found
                assert "".join(names(listed)) == wanted, path
                assert all(isinstance(row["id"], int if headers is HEADERS else str) for row in listed)

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_since_and_until_are_the_times_at_which_it_happened(server_settings: Settings) -> None:
    """Runs of last month that are imported now were in the last hour, and not where they ran."""
    now, then = AT + 3_600_000, AT - 30 * 86_400_000
    events = [event("old", n, then + n, received_at=now, channel_id=5, identifier=f"old {n}") for n in range(2)]
    events += [event("new", 9, now, channel_id=5, identifier="new")]
    figures = {"old": (then, then + 1, now), "new": (now, now, now), "long": (then - 5, now, now + 1)}
    summaries = [
        summary(name, first, last_at=last, last_received_at=received)
        for name, (first, last, received) in figures.items()
    ]
    windows = {
        f"since={then}&until={then + 1}": (["old 0"], ["long", "old"]),
        f"since={iso_time(then + 1)}&until={iso_time(then + 9)}": (["old 1"], ["long", "old"]),
        f"since={then + 2}&until={now}": ([], ["long"]),
        f"since={now - 3_600_000}": (["new"], ["long", "new"]),
        f"until={then}": ([], ["long"]),
        f"since={now + 1}": ([], []),
    }

    async def scenario() -> None:
        await store(server_settings, events, summaries)
        async with gateway_in_process(server_settings) as client:
            for window, (of_events, of_traces) in windows.items():
                assert names((await ask(client, f"/events?{window}", RECENT)).json()["events"]) == of_events, window
                listed = (await ask(client, f"/traces?{window}")).json()
                assert [row["traceId"] for row in listed] == of_traces, window
                walked: list[str] = []
                answer = await ask(client, f"/traces?{window}&limit=1")
                while rows := answer.json():
                    walked.append(rows[0]["traceId"])
                    answer = await ask(client, f"/traces?{window}&limit=1&cursor={answer.headers[NEXT_CURSOR]}")
                assert walked == of_traces, window

    asyncio.run(scenario())


@pytest.mark.services
@pytest.mark.parametrize("path", ["/event/5/list", "/events"])
def test_a_walk_by_cursor_meets_each_event_once_although_more_come(server_settings: Settings, path: str) -> None:
    """300 events of one millisecond: a walk by `until` met 197. What was published again on the way was not met."""
    rows = [
        event(
            f"t{n % 3}", n, AT, _partition=n % 2, channel_id=5, identifier=str(n), dedup_key="k" if n % 5 == 0 else ""
        )
        for n in range(300)
    ]
    rows += [row | {"_offset": 1000 + row["_offset"], "received_at": AT + 5} for row in rows if row["dedup_key"]]
    again = [row | {"_offset": 2000 + row["_offset"], "received_at": AT + 50} for row in rows if row["dedup_key"]]
    later = [event("t", 9000 + n, AT + 60, channel_id=5, identifier=f"later {n}") for n in range(9)]

    async def scenario(client: httpx.AsyncClient) -> None:
        met: list[str] = []
        answer = await ask(client, f"{path}?limit=7")
        while True:
            listed = answer.json()
            met += names(listed["events"] if path == "/events" else listed)
            if NEXT_CURSOR not in answer.headers:
                break
            if len(met) == 70:
                await store(server_settings, again + later, [])
            answer = await ask(client, f"{path}?limit=7&cursor={answer.headers[NEXT_CURSOR]}")
        assert sorted(met) == sorted(str(n) for n in range(300))
        pages = [(await ask(client, f"/event/5/list?limit=50&page={page}")).json() for page in range(1, 8)]
        by_page = [name for page in pages for name in names(page)]
        assert sorted(by_page[9:]) == sorted(met)
        assert by_page[:9] == [f"later {n}" for n in reversed(range(9))]

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_a_run_shows_the_environment_that_its_first_event_names(server_settings: Settings) -> None:
    events = [event("t1", n, AT + n, environment=name) for n, name in enumerate(["", "production", "other"])]
    events += [event("t2", 9, AT), event("t3", 10, AT, environment="staging")]
    summaries = [summary("t1", AT, event_count=3), summary("t2", AT), summary("t3", AT, exact=0), summary("t4", AT)]
    expected = {"t1": "production", "t2": None, "t3": "staging", "t4": None}

    async def scenario() -> None:
        await store(server_settings, events, summaries)
        async with gateway_in_process(server_settings) as client:
            listed = (await ask(client, "/traces")).json()
            assert {row["traceId"]: row["environment"] for row in listed} == expected
            for trace_id, environment in expected.items():
                assert (await ask(client, f"/traces/{trace_id}/summary")).json()["environment"] == environment

    asyncio.run(scenario())


@pytest.mark.services
def test_an_event_that_was_published_twice_shows_once_as_it_came_first(server_settings: Settings) -> None:
    twice = {"event_id": 7, "dedup_key": "k"}
    rows = [
        event("t", 0, AT, channel_id=5, identifier="first", **twice),
        event("t", 1, AT + 10, channel_id=5, identifier="between"),
        event("t", 2, AT + 20, channel_id=5, identifier="again", **twice),
        event("t", 3, AT + 30, channel_id=6, identifier="elsewhere", **twice),
        event("t", 4, AT + 40, channel_id=5, identifier="same id", event_id=1001),
    ]

    async def scenario(client: httpx.AsyncClient) -> None:
        assert names((await ask(client, "/event/5/list")).json()) == ["same id", "between", "first"]
        assert (await ask(client, "/event/6/list")).status_code == 404
        assert len((await ask(client, "/events")).json()["events"]) == 3

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_a_page_is_full_although_another_tenant_has_newer_events(server_settings: Settings) -> None:
    rows = [event("t", n, AT + n, tenant_id="2", channel_id=1, identifier="theirs") for n in range(10, 20)]
    rows += [event("t", n, AT + n, channel_id=1, identifier="ours") for n in range(3)]

    async def scenario(client: httpx.AsyncClient) -> None:
        assert names((await ask(client, "/event/1/list?limit=2")).json()) == ["ours", "ours"]
        assert len((await ask(client, "/events?limit=5")).json()["events"]) == 3

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_an_event_of_another_tenant_with_the_same_ids_is_never_shown(server_settings: Settings) -> None:
    same = {"event_id": 7, "dedup_key": "k", "channel_id": 1}
    rows = [event("t", 0, AT, identifier="ours", **same)]
    rows += [event("t", 0, AT, tenant_id="2", identifier="theirs", _topic_epoch=2, **same)]

    async def scenario(client: httpx.AsyncClient) -> None:
        for path in ("/event/1/list", "/event/1/list?traceId=t"):
            assert names((await ask(client, path)).json()) == ["ours"]
            assert names((await ask(client, path, OTHER)).json()) == ["theirs"]

    told(server_settings, rows, scenario)


@pytest.mark.services
def test_a_recent_client_lists_traces_and_reads_one(server_settings: Settings) -> None:
    events = [event("t1", n, AT + n, identifier=str(n)) for n in range(3)]
    summaries = [summary("t1", AT, event_count=3, last_offset=2), summary("t2", AT + 5), summary("t3", AT + 9)]

    async def scenario() -> None:
        await store(server_settings, events, summaries)
        async with gateway_in_process(server_settings) as client:

            async def listed(query: str) -> list[str]:
                found = (await ask(client, f"/traces{query}", RECENT)).json()["traces"]
                return [row["traceId"] for row in found]

            assert await listed("") == ["t3", "t2", "t1"]
            assert await listed("?limit=1&offset=1") == ["t2"]
            assert await listed(f"?since={iso_time(AT + 5)}") == ["t3", "t2"]
            assert await listed(f"?until={iso_time(AT + 9)}&limit=1") == ["t2"]
            assert await listed("?until=2020-01-01T00:00:00%2B01:00") == []
            whole = (await ask(client, "/traces/t1", RECENT)).json()
            assert (whole["traceId"], whole["spanCount"]) == ("t1", 3)
            assert names(whole["spans"]) == ["0", "1", "2"]
            assert {"costUsd", "customer", "outcome", "rootSpanName", "workflow"} <= whole.keys()
            assert (await ask(client, "/traces/t9", RECENT)).status_code == 404
            assert (await ask(client, "/traces/t1", OTHER)).status_code == 404

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/event/1/list", "/events", "/traces"])
@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=1.5", "limit="])
def test_a_limit_that_is_none_is_400(offline: OfflineGateway, path: str, query: str) -> None:
    answer = offline.send("GET", f"{path}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert "limit" in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/event/1/list?page=0",
        "/traces?offset=-1",
        "/traces?since=yesterday",
        "/events?until=2026-01-31T12:00:00",
        "/events?since=",
        "/events?agentId=" + "x" * 257,
        "/event/1/list?traceId=a%00b",
        "/events?since=1795758320",
        "/traces?until=1795758320123456",
        "/traces?since=1795758320123456789",
    ],
)
def test_a_filter_that_is_none_is_400(offline: OfflineGateway, path: str) -> None:
    assert offline.send("GET", path).status_code == 400


@pytest.mark.parametrize("path", ["/event/1/list", "/events", "/traces/t"])
def test_a_list_without_kafka_is_503(offline: OfflineGateway, path: str) -> None:
    answer = offline.send("GET", path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"].isdecimal()

"""What a read may cost: rows, memory, time and depth; and that it ends in ClickHouse when nobody waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.binding import bind_query
from gateway_in_process import gateway_in_process
from hypothesis import given
from hypothesis import strategies as st
from stored_by_hand import event, store, summary

from axonstream.clickhouse.client import connect
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.reading.bound_values import pieces
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.list_cursor import MOST_SKIPPED, NEXT_CURSOR
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.settings.settings import Settings
from kit.offline_gateway import HEADERS, OfflineGateway
from kit.until import until

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
AT = time.time_ns() // 1_000_000 - 7_200_000
SLOW = "SELECT sum(sleepEachRow(0.1)) FROM numbers(3000) WHERE number < 3000 SETTINGS max_block_size = 1"
HTTP_MAX_FIELD_VALUE_SIZE = 128 << 10
LONG = [f"{number:03}" + "'\\" * 126 for number in range(1000)]  # 255 bytes, of which nearly all are escaped


async def running(settings: Settings) -> int:
    """Slow queries that ClickHouse works on."""
    client = await connect(settings)
    try:
        sql = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%processes%'"
        return int((await client.query(sql)).result_rows[0][0])
    finally:
        await client.close()


@pytest.mark.services
@pytest.mark.parametrize(
    ("limit", "sql", "refused", "words"),
    [
        ({"read_max_rows": 1000}, "SELECT sum(number) FROM numbers(100000)", RefusedError, "more than 1,000 rows"),
        (
            {"read_max_memory_bytes": 10 << 20},
            "SELECT length(groupArray(number)) FROM numbers(10000000)",
            RefusedError,
            "more than 10 MiB",
        ),
        ({"read_timeout_ms": 300}, SLOW, UnavailableError, "within 0.3 s"),
    ],
)
def test_a_read_beyond_a_limit_is_ended_by_clickhouse_and_told_what_to_narrow(
    server_settings: Settings, limit: dict[str, Any], sql: str, refused: type[Exception], words: str
) -> None:
    """S12: no query had a limit of time, memory or rows."""

    async def scenario() -> None:
        reads = ClickHouseReads(server_settings.model_copy(update=limit))
        with pytest.raises(refused, match=words) as told:
            await reads.rows("1", sql, {})
        assert "since and until" in told.value.hint  # pyright: ignore[reportAttributeAccessIssue]
        await reads.close()

    asyncio.run(scenario())


@pytest.mark.services
def test_a_read_is_ended_in_clickhouse_when_its_client_leaves(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S12: a query went on when its client had left, or the gateway had given up."""

    async def slowly(self: TraceQueries, *_: object) -> None:
        await self.reads.rows("1", SLOW, {})

    monkeypatch.setattr(TraceQueries, "trace", slowly)

    async def scenario() -> None:
        async with gateway_in_process(server_settings) as client:
            with pytest.raises(httpx.ReadTimeout):
                await left_after(client, "/traces/t", server_settings)
            await until(lambda: not_running(server_settings), "ClickHouse has ended the query", 60)

    async def not_running(settings: Settings) -> bool:
        return await running(settings) == 0

    async def left_after(client: httpx.AsyncClient, path: str, settings: Settings) -> None:
        reading = asyncio.create_task(client.get(path, headers=HEADERS))

        async def begun() -> bool:
            return await running(settings) == 1

        await until(begun, "ClickHouse works on it", 60)
        reading.cancel()
        await asyncio.wait([reading])
        raise httpx.ReadTimeout("left")

    asyncio.run(scenario())


@pytest.mark.services
def test_reads_of_one_tenant_leave_turns_for_another(server_settings: Settings) -> None:
    """S12: lists had no turns, and the queries of one tenant took all that ClickHouse runs at once."""

    async def scenario() -> None:
        reads = ClickHouseReads(server_settings.model_copy(update={"read_timeout_ms": 300_000}))  # none ends by itself
        held = [asyncio.create_task(reads.rows("1", SLOW, {})) for _ in range(40)]

        async def all_begun() -> bool:
            return await running(server_settings) == server_settings.reads_at_once // 2

        await until(all_begun, "the tenant has its share", 60)
        async with asyncio.timeout(60):
            assert await reads.rows("2", "SELECT 1", {}) == [(1,)]
        assert await running(server_settings) == server_settings.reads_at_once // 2
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        await reads.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "path", ["/traces?offset=10001", "/traces?page=200&limit=100", "/event/1/list?page=999999999999999&limit=1000"]
)
def test_a_deep_page_is_refused_with_a_hint_to_the_cursor(offline: OfflineGateway, path: str) -> None:
    """S12: `offset` and `page` had up to 15 digits."""
    answer = offline.send("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert f"{MOST_SKIPPED:,}" in answer.json()["message"]
    assert NEXT_CURSOR in answer.json()["hint"]


@pytest.mark.parametrize("path", ["/traces", "/events", "/event/1/list"])
@pytest.mark.parametrize("query", ["cursor=abc", "cursor=", "cursor=abc&page=2", "cursor=%F0%9F%92%A9"])
def test_a_cursor_that_is_none_is_400(offline: OfflineGateway, path: str, query: str) -> None:
    answer = offline.send("GET", f"{path}?{query}")
    named = "page" if path == "/events" and "page" in query else "cursor"  # which that list does not take
    assert (answer.status_code, named in answer.json()["message"]) == (400, True)


@pytest.mark.services
@pytest.mark.parametrize("limit", [2, 3, 100])
def test_cursors_show_every_row_of_a_list_once_in_its_order(server_settings: Settings, limit: int) -> None:
    events = [event(f"t{n % 4}", n, AT + n // 3, channel_id=5, identifier=str(n)) for n in range(15)]
    events += [event("t9", 20 + n, AT + 3 * n, channel_id=5, event_id=7, dedup_key="k") for n in range(3)]
    events += [event("t9", 30, AT + 900, channel_id=6, event_id=7, dedup_key="k")]
    events += [event("t9", 40, AT + 990, tenant_id="2", channel_id=5, event_id=7, dedup_key="k")]
    summaries = [summary(f"t{n}", AT + n // 2, first_offset=n) for n in range(10)]
    summaries += [summary(f"t{n}", AT + 20 + n, first_offset=n, last_offset=99) for n in (1, 4)]
    summaries += [summary(f"t{n}", AT + 990, tenant_id="2", first_offset=n) for n in range(10)]
    summaries += [summary(f"theirs{n}", AT + n, tenant_id="2", first_offset=n) for n in range(10)]

    async def walked(client: httpx.AsyncClient, path: str, field: str) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            answer = await client.get(f"{path}&limit={limit}{cursor}", headers=HEADERS)
            rows = answer.json()
            rows = rows["events"] if isinstance(rows, dict) else rows
            found += [row[field] for row in rows]
            if NEXT_CURSOR not in answer.headers:
                return found
            if not cursor:
                stolen = await client.get(path, params={"cursor": answer.headers[NEXT_CURSOR]}, headers=OTHER)
                assert stolen.status_code == 400
            cursor = f"&cursor={answer.headers[NEXT_CURSOR]}"

    async def scenario() -> None:
        await store(server_settings, events, summaries)
        async with gateway_in_process(server_settings) as client:
            for path, field in (
                ("/event/5/list?", "eventId"),
                ("/events?", "eventId"),
                ("/events?agentId=", "eventId"),
                (f"/events?since={AT + 2}&until={AT + 5}", "eventId"),
                ("/traces?", "traceId"),
                (f"/traces?since={AT + 1}&until={AT + 22}", "traceId"),
            ):
                answer = (await client.get(f"{path}&limit=1000", headers=HEADERS)).json()
                whole = [row[field] for row in (answer["events"] if isinstance(answer, dict) else answer)]
                assert await walked(client, path, field) == whole, path
                assert len(whole) == len(set(whole)) > 2

    asyncio.run(scenario())


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=256), max_size=300))
def test_a_value_is_never_larger_than_clickhouse_takes(texts: list[str]) -> None:
    """S14: up to 1,000 trace ids of 256 bytes, escaped twice, were bound in one value."""
    found = list(pieces(texts))
    assert [text for piece in found for text in piece] == texts
    assert all(found)
    check_sizes(found)


def test_the_worst_ids_are_in_values_that_clickhouse_takes() -> None:
    """S14: see above."""
    for letters in ("'", "\\", "\n", "\t", "é", "\U0001f4a9", "'\\"):
        check_sizes(list(pieces([letters * (256 // len(letters.encode()))] * 1000)))
    assert len(list(pieces(["0123456789abcdef0123456789abcdef"] * 1000))) == 1


def check_sizes(found: list[list[str]]) -> None:
    for piece in found:
        _, bound = bind_query("SELECT {traces:Array(String)}", {"traces": piece})
        assert all(len(value.encode()) < HTTP_MAX_FIELD_VALUE_SIZE for value in bound.values())


@pytest.mark.services
def test_lists_of_very_long_ids_are_whole(server_settings: Settings) -> None:
    """S14: on a ClickHouse that takes 128 KiB a value, such a list of traces was 503."""

    async def scenario() -> None:
        rows = [event(trace, number, AT + number) for number, trace in enumerate(LONG)]
        inexact = {"exact": 0}
        await store(server_settings, rows, [summary(trace, AT + n, **inexact) for n, trace in enumerate(LONG)])
        async with gateway_in_process(server_settings) as client:
            traces = (await client.get("/traces?limit=1000", headers=HEADERS)).json()
            assert [trace["traceId"] for trace in traces] == LONG[::-1]
            events = (await client.get("/events?limit=1000", headers=HEADERS)).json()["events"]
            assert [found["traceId"] for found in events] == LONG[::-1]

    asyncio.run(scenario())

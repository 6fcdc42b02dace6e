"""What an unmodified clickhouse-connect, sync and async, can do with the embedded ClickHouse."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

import clickhouse_connect
import lz4.frame
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
import pytest
from backports import zstd
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from kit.clickhouse_process import ClickHouseProcess

pytestmark = pytest.mark.services
LONG_QUERY = "SELECT sum(sipHash64(number)) FROM numbers_mt(400000000000)"
DEADLINE_S = 120.0
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
}


@asynccontextmanager
async def connected(server: ClickHouseProcess) -> AsyncGenerator[AsyncClient]:
    client = await clickhouse_connect.get_async_client(
        host="127.0.0.1", port=server.port, autogenerate_session_id=False
    )
    try:
        yield client
    finally:
        await client.close()


def code_of(error: pytest.ExceptionInfo[DatabaseError]) -> Any:
    return error.value.code


def running(client: Client, query_id: str) -> int:
    found = client.query("SELECT count() FROM system.processes WHERE query_id = {id:String}", {"id": query_id})
    return found.result_rows[0][0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline


def test_columns_are_inserted_and_counted(client: Client) -> None:
    client.command(
        "CREATE TABLE typed (a UInt64, c LowCardinality(String), d DateTime64(3), u UUID) ENGINE = MergeTree ORDER BY a"
    )
    data = [[1, 2, 3], ["l"] * 3, [datetime(2026, 1, 1, tzinfo=UTC)] * 3, [uuid4()] * 3]
    names = ["a", "c", "d", "u"]
    summary = client.insert("typed", data, names, column_oriented=True, settings={"async_insert": 0})
    assert summary.written_rows == 3
    assert client.query("SELECT a, u FROM typed ORDER BY a").result_rows == list(zip(data[0], data[3], strict=True))


@pytest.mark.parametrize("compression", ENCODERS)
def test_raw_bytes_are_inserted_and_objects_keep_their_text(
    client: Client, table: str, compression: str | None
) -> None:
    body = ENCODERS[compression](b'{"a":10,"b":{"k":1}}\n{"a":11,"b":"s"}\n')
    summary = client.raw_insert(table, ["a", "b"], body, fmt="JSONEachRow", compression=compression)
    assert summary.written_rows == 2
    assert client.query(f"SELECT b FROM {table} ORDER BY a").result_rows == [('{"k":1}',), ("s",)]


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_an_insert_of_many_blocks_is_whole(server: ClickHouseProcess, table: str, compress: str | bool) -> None:
    with server.client(compress=compress) as client:
        summary = client.insert(table, [list(range(50_000)), ["v"] * 50_000], ["a", "b"], column_oriented=True)
        assert summary.written_rows == 50_000
        assert client.command(f"SELECT count(), sum(a) FROM {table}") == ["50000", str(sum(range(50_000)))]


def test_arrow_goes_in_and_out(client: Client, table: str) -> None:
    inserted = client.insert_arrow(table, pa.table({"a": pa.array([1, 2], pa.uint64()), "b": ["p", "q"]}))
    assert inserted.written_rows == 2
    assert client.query_arrow(f"SELECT a, b FROM {table} ORDER BY a").num_rows == 2


def test_values_and_select_are_inserted(client: Client, table: str) -> None:
    client.command(f"INSERT INTO {table} (a, b) VALUES (1, 'it''s FORMAT x'), (1 + 1, 'y');")
    client.command(f"INSERT INTO {table} (a, b) VALUES ({{a:UInt64}}, {{b:String}})", {"a": 3, "b": "z"})
    client.command(f"INSERT INTO {table} (a) SELECT number + 1000 FROM numbers(10)")
    stored = client.query(f"SELECT b FROM {table} WHERE a < 4 ORDER BY a").result_rows
    assert stored == [("it's FORMAT x",), ("y",), ("z",)]
    assert client.command(f"SELECT count() FROM {table}") == 13


def test_a_bad_row_is_named_and_nothing_is_stored(client: Client, table: str) -> None:
    with pytest.raises(DatabaseError, match=r"\(at row 6\)") as failed:
        client.raw_insert(table, ["a"], b'{"a":1}\n' * 5 + b'{"a":"zz"}\n', fmt="JSONEachRow")
    assert code_of(failed) == 27
    assert client.command(f"SELECT count() FROM {table}") == 0


def test_parameters_are_bound(client: Client) -> None:
    asked = "SELECT {a:UInt64}, {b:String}"
    assert client.query(asked, {"a": 1, "b": "it's\t\\"}).result_rows == [(1, "it's\t\\")]
    assert client.command("SELECT length({x:String})", {"x": "y" * 100_000}) == 100_000


def test_empty_results_are_empty(client: Client, table: str) -> None:
    assert client.query(f"SELECT a FROM {table} LIMIT 0").column_names == ("a",)
    assert client.query(f"SELECT a FROM {table}").result_rows == []


def test_results_stream(client: Client) -> None:
    with client.query_rows_stream("SELECT number, toString(number) FROM numbers(1000000)") as rows:
        assert sum(1 for _ in rows) == 1_000_000
    with client.query_column_block_stream("SELECT number FROM numbers(1000000)") as blocks:
        assert sum(len(block[0]) for block in blocks) == 1_000_000


def test_other_formats_are_answered_whole(client: Client) -> None:
    assert b'"rows": 2' in client.raw_query("SELECT number FROM numbers(2)", fmt="JSON")


def test_a_stream_left_early_stops_its_query(server: ClickHouseProcess, client: Client) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    connection.request("POST", "/?query_id=left", "SELECT number FROM system.numbers FORMAT RowBinary")
    assert len(connection.getresponse().read(8 << 20)) == 8 << 20
    assert running(client, "left") == 1
    connection.close()
    wait_until(lambda: running(client, "left") == 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_in_the_middle_of_a_stream_is_told(client: Client) -> None:
    query = "SELECT throwIf(number = 3000000) FROM numbers(10000000)"
    with pytest.raises(StreamFailureError) as failed, client.query_rows_stream(query) as rows:
        for _ in rows:
            pass
    assert failed.value.code == 395


@pytest.mark.parametrize(
    ("sql", "code"),
    [("SELEC 1", 62), ("SELECT * FROM nope", 60), ("SELECT nope()", 46), ("SELECT 1; SELECT 2", 62), ("", 62)],
)
def test_errors_keep_their_code(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as failed:
        client.raw_query(sql)
    assert code_of(failed) == code


def test_a_running_query_is_seen_and_killed_by_its_id_while_inserts_go_on(client: Client, table: str) -> None:
    def long() -> Any:
        with pytest.raises(DatabaseError) as killed:
            client.query(LONG_QUERY, settings={"query_id": "long"})
        return code_of(killed)

    with ThreadPoolExecutor() as threads:
        code = threads.submit(long)
        wait_until(lambda: running(client, "long") == 1)
        assert client.raw_insert(table, ["a"], b'{"a":1}\n', fmt="JSONEachRow").written_rows == 1
        client.command("KILL QUERY WHERE query_id = 'long' SYNC")
        assert code.result(DEADLINE_S) == 394
        assert running(client, "long") == 0


def test_a_running_insert_is_killed_by_its_id(client: Client, table: str) -> None:
    query = f"INSERT INTO {table} (a) SELECT sipHash64(number) FROM numbers(400000000000)"

    def long() -> Any:
        with pytest.raises(DatabaseError) as killed:
            client.command(query, settings={"query_id": "long-insert"})
        return code_of(killed)

    with ThreadPoolExecutor() as threads:
        code = threads.submit(long)
        wait_until(lambda: running(client, "long-insert") == 1)
        client.command("KILL QUERY WHERE query_id = 'long-insert' SYNC")
        assert code.result(DEADLINE_S) == 394


def test_kill_passes_when_every_slot_is_taken(server: ClickHouseProcess, client: Client) -> None:
    def long(number: int) -> Any:
        with server.client() as one, pytest.raises(DatabaseError) as killed:
            one.query(
                "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1",
                settings={"query_id": f"full-{number}"},
            )
        return code_of(killed)

    with server.client() as killer, ThreadPoolExecutor(40) as threads:
        codes = [threads.submit(long, number) for number in range(34)]
        deadline = time.monotonic() + DEADLINE_S
        while not all(code.done() for code in codes):
            assert time.monotonic() < deadline
            killer.command("KILL QUERY WHERE startsWith(query_id, 'full-') SYNC")
    assert {code.result() for code in codes} == {394}
    assert client.command("SELECT 1") == 1


def asynchronously(server: ClickHouseProcess, check: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with connected(server) as client:
            await check(client)

    asyncio.run(run())


def test_the_async_client_queries_inserts_and_streams(server: ClickHouseProcess, table: str) -> None:
    async def check(client: AsyncClient) -> None:
        assert (await client.query("SELECT 1, 'x'")).result_rows == [(1, "x")]
        assert (await client.insert(table, [[90], ["s"]], ["a", "b"], column_oriented=True)).written_rows == 1
        assert (await client.raw_insert(table, ["a"], b'{"a":91}\n', fmt="JSONEachRow")).written_rows == 1
        async with await client.query_rows_stream("SELECT number FROM numbers(500000)") as rows:
            assert sum([1 async for _ in rows]) == 500_000
        with pytest.raises(DatabaseError) as failed:
            await client.query("SELECT * FROM nope")
        assert code_of(failed) == 60

    asynchronously(server, check)


def test_queries_run_side_by_side(server: ClickHouseProcess, client: Client) -> None:
    async def check(asking: AsyncClient) -> None:
        ids = [f"beside {number}" for number in range(8)]
        tasks = [asyncio.create_task(asking.query(LONG_QUERY, settings={"query_id": name})) for name in ids]
        while [await asyncio.to_thread(running, client, name) for name in ids] != [1] * len(ids):
            assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asynchronously(server, check)


def test_a_client_that_goes_away_stops_its_query(server: ClickHouseProcess, client: Client) -> None:
    async def check(leaving: AsyncClient) -> None:
        task = asyncio.create_task(leaving.query(LONG_QUERY, settings={"query_id": "gone"}))
        while await asyncio.to_thread(running, client, "gone") == 0:
            assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asynchronously(server, check)
    wait_until(lambda: running(client, "gone") == 0)

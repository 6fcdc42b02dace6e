"""Whatever is typed: no file is read, none is written, no address is called, no row and no table changes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from axonstream.local.clickhouse_http.permitted_names import TABLE_FUNCTIONS, names_of
from kit.clickhouse_process import READY_S, ClickHouseProcess, serving

pytestmark = pytest.mark.services

CANARY = "canary-4711"
EXAMPLES, SOAK_EXAMPLES = 250, 5000


@dataclass(frozen=True)
class Ground:
    """A server, and what would show that a statement got out of it."""

    server: ClickHouseProcess
    directory: Path
    listening: socket.socket

    def ask(self, sql: str, method: str = "POST", **args: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=READY_S)
        try:
            by_get = {"query": sql} if method == "GET" else {}
            body = b"" if method == "GET" else sql.encode("utf-8", "replace")
            connection.request(method, "/?" + urlencode({**args, **by_get}, errors="replace"), body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def state(self) -> bytes:
        """The rows and the tables."""
        told = b"".join(
            self.ask(sql)[1]
            for sql in (
                "SELECT groupArray(a) FROM (SELECT a FROM kept ORDER BY a)",
                "SELECT create_table_query FROM system.tables WHERE database != 'system' ORDER BY ALL",
                "SELECT name FROM system.databases ORDER BY name",
            )
        )
        assert b"MergeTree" in told
        return told

    def must_be_untouched(self, files: list[Path]) -> None:
        assert sorted(self.directory.iterdir()) == files
        try:
            self.listening.accept()[0].close()
        except BlockingIOError:
            return
        pytest.fail("an address was called")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("watched")
    (directory / "canary.csv").write_text(CANARY + "\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        serving(tmp_path_factory.mktemp("fuzzed-sql") / "data") as server,
    ):
        listening.settimeout(0)
        with server.client() as client:
            client.command("CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
            client.command("INSERT INTO kept VALUES (1), (2)")
        yield Ground(server, directory, listening)


HIDERS = (
    *("{}", "/* {} */", "-- {}\n", "# {}\n", "$${}$$", "$a${}$a$", "a$b$, {} -- $b$", "'{}'", "'\\'{}'", "'{}''"),
    *("`{}`", '"{}"', "\u2018{}\u2019", "\u201c{}\u201d", "\u2018'\u2019, {} -- '", "({})", "(SELECT {})", "[{}]"),
    *("\u00a0{}\u3000", "\ufeff{}", "{};", "{}; SELECT 1", "1; SELECT {}", "{}\\G", "x -> {}", "view(SELECT {})"),
    *("{}\x0b", "{} AS x"),
)
FRAMES = """\
{}
SELECT {}
SELECT 1 {}
SELECT 1 AS {}
SELECT * FROM {}
SELECT 1 IN {}
SELECT 1 IN (SELECT * FROM {})
SELECT 1 SETTINGS {}
SELECT * APPLY({}) FROM kept
SELECT * REPLACE ({} AS a) FROM kept
SELECT arrayMap(x -> {}, [1])
SELECT * FROM kept WHERE a = {}
WITH y AS (SELECT {}) SELECT * FROM y
EXPLAIN SELECT {}
DESCRIBE TABLE {}
SHOW TABLES {}
SET {}
INSERT INTO kept SELECT {}
INSERT INTO kept VALUES ({})
INSERT INTO kept FORMAT Values ({})
INSERT INTO kept FORMAT VALUES ({})
CREATE MATERIALIZED VIEW odd TO {} AS SELECT a FROM kept
INSERT INTO FUNCTION {} SELECT 1
CREATE TABLE odd AS {}
CREATE VIEW odd AS SELECT {}
CREATE TABLE odd (a String DEFAULT {}) ENGINE = Memory
CREATE DATABASE odd ENGINE = {}
ALTER TABLE kept UPDATE a = {} WHERE 1""".splitlines()


def fragments(ground: Ground, table_functions: list[str]) -> st.SearchStrategy[str]:
    """What would do harm if it were reached, with functions of every name that the engine has."""
    file, written = f"'{ground.directory}/canary.csv'", f"'{ground.directory}/written'"
    peer = f"127.0.0.1:{ground.listening.getsockname()[1]}"
    names = st.sampled_from([*table_functions, *sorted(names_of("functions_refused"))])
    arguments = f"""\
{file}
{file}, 'CSV', 'a String'
'http://{peer}/'
'{peer}', system.one
'{peer}', 'a', 'b', 'c', 'd'
'cat {ground.directory}/canary.csv', 'CSV', 'a String'
'system', '.*'
default, kept
"""
    known = f"""\
kept
file({file})
file({file}, 'CSV', 'a String')
url('http://{peer}/', LineAsString)
arrayMap(file, [{file}])
file
`{file[1:-1]}`
system.stack_trace
INTO OUTFILE {written}
1 INTO OUTFILE {written} TRUNCATE FORMAT CSV
FROM INFILE {file}
format_schema = {file}
dialect = 'prql'
disk = disk(type = local, path = '{ground.directory}/')
format(Values, 'a String', $${file}$$)
dictGet('d', 'a', 1)
DROP TABLE kept
TRUNCATE TABLE kept
ALTER TABLE kept DELETE WHERE 1
SYSTEM SHUTDOWN"""
    calls = st.builds("{}({})".format, names, st.sampled_from(arguments.split("\n")))
    return calls | st.sampled_from(known.split("\n"))


@st.composite
def statements(draw: st.DrawFn, fragment: st.SearchStrategy[str]) -> str:
    """A fragment, hidden some times over, in a statement, with some noise."""
    inner = draw(fragment)
    for hider in draw(st.lists(st.sampled_from(HIDERS), max_size=3)):
        inner = hider.replace("{}", inner)
    text = draw(st.sampled_from(FRAMES)).replace("{}", inner)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        noise = draw(st.text(max_size=4) | st.sampled_from(["$$", "'", '"', "`", "--", "/*", "\\"]))
        text = text[:at] + noise + text[at:]
    return text


def test_no_statement_gets_out_of_the_tables(ground: Ground, soak: bool) -> None:
    """S2: as `axonstream sql` sends it, as the reader, and as GET of the owner of the data."""
    files = sorted(ground.directory.iterdir())
    ground.ask("CREATE TABLE IF NOT EXISTS kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    before = ground.state()
    found = ground.ask("SELECT name FROM system.table_functions ORDER BY name")[1].decode().split()
    assert len(found) > 50

    @example_settings(
        max_examples=SOAK_EXAMPLES if soak else EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],
    )
    @given(
        statements(fragments(ground, found)),
        st.sampled_from([("POST", {"readonly": "1"}), ("POST", {"user": "reader"}), ("GET", {})]),
    )
    def stays_inside(sql: str, how: tuple[str, dict[str, str]]) -> None:
        method, args = how
        status, told = ground.ask(sql, method, **args)
        assert CANARY.encode() not in told
        assert status in (200, 400, 403, 404, 413, 500, 501), "an answer of ClickHouse"
        ground.must_be_untouched(files)

    stays_inside()
    assert ground.state() == before
    assert ground.server.process.poll() is None


def test_no_statement_of_the_owner_reaches_a_file_or_an_address(ground: Ground, soak: bool) -> None:
    """S2: the parts' own user may change the tables, and nothing outside of them."""
    files = sorted(ground.directory.iterdir())
    found = ground.ask("SELECT name FROM system.table_functions ORDER BY name")[1].decode().split()

    @example_settings(
        max_examples=SOAK_EXAMPLES if soak else EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],
    )
    @given(statements(fragments(ground, found)))
    def stays_inside(sql: str) -> None:
        assert CANARY.encode() not in ground.ask(sql)[1]
        ground.must_be_untouched(files)

    stays_inside()
    assert ground.server.process.poll() is None


def test_every_table_function_that_is_not_listed_is_refused(ground: Ground) -> None:
    """S2: each of system.table_functions, where a table stands and behind IN."""
    found = ground.ask("SELECT name FROM system.table_functions ORDER BY name")[1].decode().split()
    refused = [name for name in found if name.lower() not in TABLE_FUNCTIONS]
    assert {"file", "url", "s3", "remote", "executable", "input", "merge", "mergeTreeIndex", "eval"} <= set(refused)
    for name in refused:
        for sql in (f"SELECT * FROM {name}('x')", f"SELECT * FROM {name.upper()}('x')", f"SELECT 1 IN {name}('x')"):
            assert ground.ask(sql)[0] in (400, 403, 404), sql


def test_every_refused_function_is_refused_wherever_it_stands(ground: Ground) -> None:
    """S2: each that reaches files, addresses, dictionaries or the inside of the server."""
    for name in sorted(names_of("functions_refused")):
        for call in (f"{name}('x')", f"* APPLY({name})", f"arrayMap(x -> {name}(x), [''])"):
            assert ground.ask(f"SELECT {call} FROM numbers(1)")[0] in (400, 403), call

"""`axonstream sql`: what it prints, what it refuses, and what it says when it cannot."""

from __future__ import annotations

import socket
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result

from axonstream.cli.sql_command import sql
from axonstream.clickhouse.client import connect_blocking
from axonstream.local.endpoints import Endpoints, write_endpoints
from axonstream.process.exit_codes import UNREACHABLE, WRONG_SETTINGS
from axonstream.settings.settings import Settings


def ask(url: str, *arguments: str, stdin: str = "") -> Result:
    environment = {"AXONSTREAM_CLICKHOUSE_URL": url, "AXONSTREAM_CLICKHOUSE_DATABASE": "default"}
    return CliRunner().invoke(sql, arguments, input=stdin, env=environment)


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_an_absent_server_is_one_line_that_says_what_to_do(nobody: str) -> None:
    result = ask(nobody, "SELECT 1")
    assert result.exit_code == UNREACHABLE
    assert result.stderr.count("\n") == 1
    assert "axonstream up" in result.stderr
    assert "AXONSTREAM_CLICKHOUSE_URL" in result.stderr


def test_an_empty_query_is_refused_before_anything_is_asked(nobody: str) -> None:
    result = ask(nobody, "-", stdin=" ;\n")
    assert (result.exit_code, "the query is empty" in result.stderr) == (1, True)


def test_the_stack_of_the_data_directory_is_asked_when_no_server_is_set(nobody: str, tmp_path: Path) -> None:
    write_endpoints(tmp_path, Endpoints(gateway_url="", kafka_bootstrap_servers="", clickhouse_url=nobody))
    unset = {"AXONSTREAM_CLICKHOUSE_URL": None}
    result = CliRunner().invoke(sql, ["SELECT 1", "--data-dir", str(tmp_path)], env=unset)
    assert nobody in result.stderr


def test_a_wrong_setting_is_named() -> None:
    result = CliRunner().invoke(sql, ["SELECT 1"], env={"AXONSTREAM_GATEWAY_PORT": "no"})
    assert (result.exit_code, "AXONSTREAM_GATEWAY_PORT" in result.stderr) == (WRONG_SETTINGS, True)


@pytest.mark.services
def test_a_table_is_plain_and_aligned_in_a_pipe(clickhouse_url: str) -> None:
    result = ask(clickhouse_url, "SELECT number AS n, repeat('x', number) AS text FROM numbers(9, 2)")
    assert result.stdout == " n  text\n--  ----------\n 9  xxxxxxxxx\n10  xxxxxxxxxx\n"


@pytest.mark.services
def test_no_rows_print_the_header(clickhouse_url: str) -> None:
    assert ask(clickhouse_url, "SELECT 1 AS one WHERE 0").stdout == "one\n---\n"


@pytest.mark.services
def test_json_is_one_array_with_whole_numbers(clickhouse_url: str) -> None:
    result = ask(
        clickhouse_url, "-o", "json", "SELECT toUInt64(18446744073709551615) AS big, ['a'] AS list, NULL AS no"
    )
    assert orjson.loads(result.stdout) == [{"big": 18446744073709551615, "list": ["a"], "no": None}]
    assert orjson.loads(ask(clickhouse_url, "-o", "json", "SELECT 1 WHERE 0").stdout) == []


@pytest.mark.services
def test_csv_has_a_header_and_quotes(clickhouse_url: str) -> None:
    result = ask(clickhouse_url, "-o", "csv", "SELECT 1 AS a, 'x\"y' AS b")
    assert result.stdout == '"a","b"\n1,"x""y"\n'


@pytest.mark.services
def test_a_format_in_the_query_wins(clickhouse_url: str) -> None:
    assert ask(clickhouse_url, "SELECT 1, 2 FORMAT TSV").stdout == "1\t2\n"


@pytest.mark.services
def test_the_query_is_read_from_stdin_for_a_dash(clickhouse_url: str) -> None:
    assert ask(clickhouse_url, "-", stdin="SELECT 7 AS seven;\n").stdout == "seven\n-----\n    7\n"


@pytest.mark.services
def test_what_is_stored_cannot_reach_the_terminal(clickhouse_url: str) -> None:
    assert "\\x1b[2J\\n" in ask(clickhouse_url, "SELECT '\\x1b[2J\\n' AS evil").stdout


@pytest.mark.services
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "Syntax error"),
        ("SELECT 1 FROM nowhere_at_all", "docs/sql.md"),
        ("SELECT nothing", "docs/sql.md"),
        ("CREATE TABLE slip (a Int8) ENGINE = Memory", "only reads"),
        ("CREATE DATABASE slip", "only reads"),
        ("SELECT 1 SETTINGS readonly = 0", "only reads"),
        ("SELECT file('/etc/hostname')", "The function file() is not allowed here. docs/sql.md"),
        ("SELECT 1 AS a$b$, file('/etc/hostname') -- $b$", "The function file() is not allowed"),
        ("SELECT * FROM url('http://127.0.0.1:1', LineAsString)", "The table function url() is not allowed"),
        ("SELECT 1 INTO OUTFILE '/tmp/outfile'", "INTO OUTFILE is not allowed"),
        ("SELECT * FROM `/etc/hostname`", "might take it for a file"),
    ],
)
def test_a_wrong_or_changing_query_is_one_line_and_exit_code_1(clickhouse_url: str, query: str, said: str) -> None:
    result = ask(clickhouse_url, query)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


@pytest.mark.services
def test_a_slip_changes_nothing(clickhouse_url: str) -> None:
    database = f"slip_{uuid4().hex[:8]}"
    client = connect_blocking(Settings(clickhouse_url=clickhouse_url))
    client.command(f"CREATE DATABASE {database}")
    client.command(f"CREATE TABLE {database}.t (a Int8) ENGINE = MergeTree ORDER BY a")
    client.command(f"INSERT INTO {database}.t VALUES (1)")
    try:
        for query in (
            f"DROP TABLE {database}.t",
            f"DROP DATABASE {database}",
            f"TRUNCATE TABLE {database}.t",
            f"ALTER TABLE {database}.t DELETE WHERE 1",
            f"INSERT INTO {database}.t VALUES (2)",
            f"INSERT INTO {database}.t SELECT 2",
            f"INSERT INTO {database}.t FORMAT CSV\n2\n",
        ):
            result = ask(clickhouse_url, "-", stdin=query)
            assert (result.exit_code, "only reads" in result.stderr) == (1, True), query
        assert client.query(f"SELECT a FROM {database}.t").result_rows == [(1,)]
    finally:
        client.command(f"DROP DATABASE {database}")
        client.close()

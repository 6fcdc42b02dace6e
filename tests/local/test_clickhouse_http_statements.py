"""What the engine makes of a statement beyond its text: names are functions, views write, settings run statements."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from test_clickhouse_http_doors import CANARY, ask

from kit.clickhouse_process import READY_S, ClickHouseProcess

pytestmark = pytest.mark.services


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary.csv"
    path.write_text(CANARY + "\n")
    return path


@pytest.mark.parametrize("args", [{"user": "reader"}, {"readonly": "1"}, {}])
@pytest.mark.parametrize(
    "called",
    ["file", "`file`", '"file"', "file AS f", "{{f:Identifier}}", "x -> arrayMap(file, [x])[1]", "if(1, file, upper)"],
)
def test_a_function_that_is_given_by_its_name_is_judged_like_a_call(
    server: ClickHouseProcess, canary: Path, called: str, args: dict[str, str]
) -> None:
    """S2: arrayMap(file, [path]) calls file(path); the reader and `axonstream sql` read any file with it."""
    sql = f"SELECT arrayMap({called.format()}, ['{canary}'])"
    status, told = ask(server, sql, "POST", None, param_f="file", **args)
    assert (status, CANARY in told) == (403, False), told


def test_functions_that_are_allowed_may_be_given_by_their_names(server: ClickHouseProcess) -> None:
    assert ask(server, "SELECT arrayMap(upper, ['a'])", user="reader") == (200, "['A']\n")
    assert ask(server, "SELECT arrayMap({f:Identifier}, ['a'])", user="reader", param_f="upper") == (200, "['A']\n")
    assert ask(server, "SELECT count(t.file) FROM (SELECT 1 AS file) AS t", user="reader") == (200, "1\n")


@pytest.mark.parametrize("called", ["sleepEachRow", "{{f:Identifier}}"])
def test_a_reader_may_not_sleep_by_name_either(server: ClickHouseProcess, called: str) -> None:
    sql = f"SELECT arrayMap({called.format()}, [1])"
    assert ask(server, sql, user="reader", param_f="sleepEachRow")[0] == 403


@pytest.mark.parametrize("format_name", ["values", "VALUES", "vAlUeS"])
@pytest.mark.parametrize("rows", [0, 20_000])
def test_the_name_of_a_format_is_read_in_any_case(
    server: ClickHouseProcess, table: str, canary: Path, format_name: str, rows: int
) -> None:
    """S2: the data of FORMAT VALUES were not judged as those of FORMAT Values are, and the engine evaluated them."""
    plain = "('x')," * rows
    status, told = ask(server, f"INSERT INTO {table} (b) FORMAT {format_name} {plain}(file('{canary}'))")
    assert (status != 200, CANARY in told) == (True, False), told
    assert ask(server, f"INSERT INTO {table} (b) FORMAT {format_name} {plain}('x')")[0] == 200
    assert ask(server, f"SELECT count(), any(b) FROM {table}") == (200, f"{rows + 1}\tx\n")


@pytest.mark.parametrize("target", ["`{canary}`", "system.one", "`..`.`{canary}`"])
def test_a_view_writes_into_tables_only(server: ClickHouseProcess, table: str, canary: Path, target: str) -> None:
    """S2: TO `path` of a materialized view was taken for a file, and every INSERT into its source went there."""
    sql = f"CREATE MATERIALIZED VIEW odd TO {target.format(canary=canary)} AS SELECT b FROM {table}"
    status, told = ask(server, sql)
    assert status == 403, told


@pytest.mark.parametrize(
    "sql",
    [
        "TRUNCATE DATABASE system",
        "TRUNCATE ALL TABLES FROM system",
        "DROP DATABASE {d:Identifier}",
        "DROP DATABASE INFORMATION_SCHEMA",
        "DROP TABLE system.one",
        "DROP TABLE nothing, system.one",
        "DROP TABLE {d:Identifier}.one",
        "RENAME TABLE system.one TO default.one",
        "EXCHANGE TABLES system.one AND default.one",
        "ALTER TABLE system.one ADD COLUMN a String",
        "CREATE VIEW system.tables AS SELECT 1",
        "INSERT INTO system.one SELECT 1",
        "INSERT INTO system.one FORMAT CSV 1",
        "DELETE FROM system.one WHERE 1",
    ],
)
def test_the_tables_of_the_server_are_its_own(server: ClickHouseProcess, sql: str) -> None:
    """Without system.one no statement is judged any more: the stack stands until ClickHouse is started again."""
    status, told = ask(server, sql, "POST", None, param_d="system")
    assert status == 403, told
    assert ask(server, "SELECT dummy FROM system.one") == (200, "0\n")


@pytest.mark.parametrize("setting", ["ast_fuzzer_runs", "ast_fuzzer_any_query", "ast_fuzzer_oracle"])
def test_no_setting_runs_statements_that_nobody_judged(server: ClickHouseProcess, setting: str) -> None:
    assert ask(server, "SELECT 1", "POST", None, user="reader", **{setting: "1"})[0] == 403
    assert ask(server, f"SELECT 1 SETTINGS {setting} = 1")[0] == 403


@pytest.mark.parametrize("name", ["DataFrame", "arrowtable", "DataStore"])
def test_an_answer_is_never_an_object_of_python(server: ClickHouseProcess, name: str) -> None:
    status, told = ask(server, "SELECT 1", default_format=name)
    assert (status, "UNKNOWN_FORMAT" in told) == (404, True), told
    assert ask(server, f"SELECT 1 FORMAT {name}")[0] == 404


@pytest.mark.parametrize("literal", [r"'\x9b'", r"'\xff\xfe'", r"'\0'", r"'\x1b[2J'", "inf", "-inf", "nan", "1e-999"])
def test_any_literal_is_read(server: ClickHouseProcess, literal: str) -> None:
    """A byte that is not UTF-8 made the answer a 500 that was none of ClickHouse."""
    assert ask(server, f"SELECT toTypeName({literal})", user="reader")[0] == 200


def test_who_shares_a_query_id_and_leaves_stops_no_query_of_another(server: ClickHouseProcess, table: str) -> None:
    """As a server does it (216): a reader sent the id of a running INSERT, left, and the INSERT was killed with it."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=READY_S)
    slow = "SELECT number FROM system.numbers FORMAT RowBinary"
    connection.request("POST", "/?" + urlencode({"query_id": "shared", "user": "default"}), slow)
    answer = connection.getresponse()
    assert answer.read(8)
    status, told = ask(server, slow, user="reader", query_id="shared")
    assert (status, "is already running" in told) == (500, True), told
    assert answer.read(8), "it still runs"
    answer.close()
    connection.close()
    deadline = time.monotonic() + READY_S
    while ask(server, "SELECT 1", query_id="shared") != (200, "1\n"):  # the id is free once its query has ended
        assert time.monotonic() < deadline

"""What the local ClickHouse lets through: the lists of names, and the limits that a server has."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from axonstream.local.clickhouse_http.permitted_names import (
    SLEEPING,
    is_allowed_function,
    is_refused_function,
    names_of,
)
from kit.clickhouse_process import ClickHouseProcess
from kit.clickhouse_requests import ask

pytestmark = pytest.mark.services


def test_every_function_of_the_engine_was_looked_at(client: Client) -> None:
    """S2: a function of a new engine is refused until somebody has put it on one of the lists."""
    of_engine = {row[0] for row in client.query("SELECT name FROM system.functions").result_rows}
    allowed, refused = names_of("functions"), names_of("functions_refused")
    assert allowed & refused == set()
    assert allowed | refused | {"sleep", "sleepEachRow"} == of_engine
    assert [name for name in sorted(allowed) if not is_allowed_function(name)] == []
    assert [name for name in sorted(refused) if is_allowed_function(name) or not is_refused_function(name)] == []
    assert {name for name in of_engine if name.lower() in SLEEPING} == {"sleep", "sleepEachRow"}


@given(st.sampled_from(sorted(names_of("functions_refused"))), st.sampled_from(["If", "State", "OrNull", "ArrayIf"]))
def test_no_ending_makes_a_refused_function_an_allowed_one(name: str, ending: str) -> None:
    assert not is_allowed_function(name + ending)
    assert not is_allowed_function(name.upper())


def test_what_people_ask_is_allowed(server: ClickHouseProcess, table: str) -> None:
    for sql in (
        f"SELECT count(), sumIf(a, a > 1), quantiles(0.5, 0.9)(a), uniqExactIf(b, a = 1) FROM {table}",
        f"WITH t AS (SELECT * FROM {table}) SELECT a, row_number() OVER (ORDER BY a) FROM t ARRAY JOIN [1] AS x",
        f"SELECT * EXCEPT (b) APPLY(toString) FROM {table} AS l LEFT JOIN {table} AS r USING a",
        f"SELECT formatReadableSize(sum(bytes)) FROM system.parts WHERE table = '{table}'",
        "SELECT CASE WHEN 1 THEN 'a' END, JSONExtractString('{}', 'x'), toStartOfInterval(now(), INTERVAL 1 DAY)",
        "SELECT number FROM numbers(3) UNION ALL SELECT 1 FORMAT JSON",
        f"EXPLAIN indexes = 1 SELECT * FROM {table}",
        f"DESCRIBE TABLE {table}",
        f"SHOW CREATE TABLE {table}",
        "SHOW TABLES LIKE 'x%'",
        f"EXISTS TABLE {table}",
        f"SHOW COLUMNS FROM {table}",
        "SELECT * FROM INFORMATION_SCHEMA.TABLES LIMIT 1",
    ):
        assert ask(server, sql, user="reader")[0] == 200, sql


def test_a_reader_may_not_sleep(server: ClickHouseProcess) -> None:
    assert ask(server, "SELECT sleep(0.001)")[0] == 200
    assert ask(server, "SELECT sleep(0.001)", user="reader")[0] == 403


def test_a_refusal_says_what_was_refused_and_where_to_look(server: ClickHouseProcess) -> None:
    assert "The function file() is not allowed here. docs/sql.md lists" in ask(server, "SELECT file('x')")[1]
    assert "The table function url() is not allowed" in ask(server, "SELECT * FROM url('x')")[1]
    assert "The table system.users is not allowed" in ask(server, "SELECT * FROM system.users")[1]


@pytest.mark.parametrize(("size", "status"), [(131_072, 200), (131_073, 500)])
def test_a_parameter_is_as_long_as_a_server_takes_it(server: ClickHouseProcess, size: int, status: int) -> None:
    """S14: http_max_field_value_size of a server is 128 KiB, in a URL as it is sent and in a form."""
    told = ask(server, "SELECT length({x:String})", param_x="x" * size)
    assert told[0] == status
    assert f"{size}\n" == told[1] or "Code: 1000" in told[1]
    assert ask(server, "SELECT length({x:String})", param_x="/" * (size // 3 + 1))[0] == 500, "three bytes each"
    form = (
        f'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\n{"x" * size}\r\n'
        '--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT length({x:String})\r\n--b--\r\n'
    )
    assert ask(server, form, headers={"Content-Type": "multipart/form-data; boundary=b"})[0] == status


def test_a_statement_is_as_long_as_a_server_takes_it(server: ClickHouseProcess) -> None:
    """S14: max_query_size of a server is 256 KiB, and a request may set it; the data of an INSERT do not count."""
    long = "SELECT length('" + "x" * (256 << 10) + "')"
    status, told = ask(server, long)
    assert (status, "max_query_size" in told) == (400, True)
    assert ask(server, long, max_query_size="1000000") == (200, f"{256 << 10}\n")
    assert ask(server, "SELECT 7", "GET", name="x" * 1_100_000)[0] == 400, "http_max_uri_size of a server is 1 MiB"


def test_the_parser_has_the_last_word_on_quotes(server: ClickHouseProcess) -> None:
    status, told = ask(server, "SELECT 'a; b', `c; d` FROM (SELECT 1 AS `c; d`) -- e; f")
    assert (status, told) == (200, "a; b\t1\n")
    assert ask(server, f"SELECT {quote('x')}(1)")[0] == 404

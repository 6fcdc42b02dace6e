"""What one request or session of the embedded ClickHouse may change for the next, and what its reader may not."""

from __future__ import annotations

from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from kit.clickhouse_process import ClickHouseProcess

pytestmark = pytest.mark.services


DEADLINE_S = 120.0


def code_of(error: pytest.ExceptionInfo[DatabaseError]) -> Any:
    return error.value.code


def test_a_session_keeps_settings_and_temporary_tables_to_itself(server: ClickHouseProcess, client: Client) -> None:
    with server.client(autogenerate_session_id=True) as session:
        session.command("SET max_threads = 1")
        session.command("CREATE TEMPORARY TABLE mine (a Int32)")
        session.command("INSERT INTO mine VALUES (5)")
        assert session.command("SELECT a FROM mine") == 5
        assert session.command("SELECT getSetting('max_threads')") == 1
        assert client.command("SELECT getSetting('max_threads')") != 1
        with pytest.raises(DatabaseError):
            client.command("SELECT a FROM mine")


def test_settings_are_of_one_request(client: Client) -> None:
    before = client.command("SELECT getSetting('max_block_size')")
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 777}) == 777
    assert client.command("SELECT getSetting('max_block_size')") == before
    client.command("/* first */ SET max_block_size = 778")
    assert client.command("SELECT getSetting('max_block_size')") == before


def test_a_request_that_forbids_itself_to_write_does_not_forbid_it_to_the_next(client: Client, table: str) -> None:
    for _ in range(3):
        with pytest.raises(DatabaseError):
            client.command(f"TRUNCATE TABLE {table}", settings={"readonly": 1})
        client.command(f"TRUNCATE TABLE {table}")


def test_an_unknown_setting_is_refused(client: Client) -> None:
    with pytest.raises(DatabaseError) as failed:
        client.raw_query("SELECT 1", settings={"no_such_setting": 1})
    assert code_of(failed) == 115


def test_a_database_is_of_one_request(server: ClickHouseProcess, client: Client) -> None:
    client.command("CREATE DATABASE IF NOT EXISTS `odd``name`")
    with server.client(database="odd`name") as other:
        assert other.command("SELECT currentDatabase()") == "odd`name"
    assert client.command("SELECT currentDatabase()") == "default"


def test_the_reader_reads_and_nothing_else(server: ClickHouseProcess, table: str) -> None:
    with server.client(username="reader") as reader:
        assert reader.command(f"SELECT count() FROM {table}") == 0
        for sql in (
            f"INSERT INTO {table} (a) VALUES (1)",
            f"DROP TABLE {table}",
            "SET readonly = 0",
            "CREATE DATABASE x",
        ):
            with pytest.raises(DatabaseError) as refused:
                reader.command(sql)
            assert code_of(refused) == 164
        for sql in ("SELECT * FROM file('x', 'CSV', 'a String')", "SELECT `file`('/etc/hosts')"):
            with pytest.raises(DatabaseError) as refused:
                reader.query(sql)
            assert code_of(refused) == 497


@pytest.mark.parametrize("user", ["default", "reader"])
@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_a_file_is_no_table(server: ClickHouseProcess, table: str, tmp_path: Path, quote: str, user: str) -> None:
    (tmp_path / "secret.csv").write_text("4711\n")
    file = f"{quote}{tmp_path}/secret.csv{quote}"

    def code(sql: str, settings: str) -> str | None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        connection.request("POST", f"/?user={user}&{settings}", sql)
        told = connection.getresponse().getheader("X-ClickHouse-Exception-Code")
        connection.close()
        return told

    for settings in ("", "readonly=0", "readonly=2&max_threads=1", "profile=default"):
        for sql in (
            f"SELECT * FROM {file}",
            f"SELECT count() FROM {table} WHERE a IN (SELECT * FROM {file})",
            f"WITH x AS (SELECT * FROM {file}) SELECT * FROM x",
            f"DESCRIBE TABLE {file}",
            *([f"SELECT * FROM default.{file}", f"SELECT 4711 IN {file}"] if quote != "'" else []),
        ):
            assert code(sql, settings) in ("497", "48"), (sql, settings)
    assert code(f"SELECT count() FROM {table}", "max_threads=1") is None

"""Requests to the HTTP interface of the local ClickHouse, with any header."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlencode

from kit.clickhouse_process import READY_S, ClickHouseProcess


def ask(
    server: ClickHouseProcess, sql: str, method: str = "POST", headers: dict[str, str] | None = None, **args: str
) -> tuple[int, str]:
    """(HTTP status, body); a Host of None among the headers leaves it out."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=READY_S)
    given = {"Host": f"127.0.0.1:{server.port}", **(headers or {})}
    try:
        url = "/?" + urlencode({**args, **({} if method == "POST" else {"query": sql})})
        connection.putrequest(method, url, skip_host=True)
        for name, value in given.items():
            connection.putheader(name, value)
        body = sql.encode() if method == "POST" else b""
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()

"""What a statement does, told from its text: enough to route it, to refuse what would hurt, and to show query ids."""

from __future__ import annotations

import re
from collections.abc import Callable

from deploy.clickhouse_http.clickhouse_error import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    ClickHouseError,
)

READING_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "FROM", "("})
RESULT_VERBS = READING_VERBS | {"KILL"}
STREAMING_VERBS = frozenset({"SELECT", "WITH"})

_COMMENT = r"(?P<comment>--[^\n]*+|\#[ !][^\n]*+|/\*.*?(?:\*/|\Z))"
_STRING = r"(?P<string>'(?:[^'\\]++|\\.|'')*+'?|\$(?P<heredoc>\w*)\$.*?\$(?P=heredoc)\$)"
_IDENTIFIER = r"""(?P<identifier>"(?:[^"\\]++|\\.)*+"?|`(?:[^`\\]++|\\.)*+`?)"""
_NOT_CODE = re.compile(f"{_COMMENT}|{_STRING}|{_IDENTIFIER}", re.DOTALL)
_ODD_IN_NAME = re.compile(r"\W+")
_FIRST_WORD = re.compile(r"\s*(\(|\w+)")
_CHANGES_CONNECTION = re.compile(r"\s*(SET|USE|(CREATE|ATTACH)\s+(OR\s+REPLACE\s+)?TEMPORARY)\b", re.IGNORECASE)
_TAIL_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(SETTINGS\s[^;]*)?;?\s*\Z", re.IGNORECASE)
_PROCESSES = re.compile(r"\bsystem\s*\.\s*processes\b", re.IGNORECASE)
_QUERY_ID = re.compile(r"\bquery_id\b(?!\s*:)", re.IGNORECASE)  # a parameter may be named so, too: {query_id:String}
_CLIENT_ID = "if(Settings['log_comment'] != '', Settings['log_comment'], query_id)"
_PROCESSES_WITH_CLIENT_IDS = "(SELECT * REPLACE (ID AS query_id) FROM system.processes)".replace("ID", _CLIENT_ID, 1)

# chdb cannot start these engines, and the metadata of such a table keep the whole directory from opening again.
_FATAL_ENGINE = re.compile(
    r"\bENGINE\s*=?\s*(Kafka|RabbitMQ|NATS|S3Queue|AzureQueue|FileLog|MaterializedPostgreSQL)\b", re.IGNORECASE
)
_WRITES_FILE = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)
_SECOND_STATEMENT = re.compile(r";\s*[^\s;]")
_REACHES_OUT = re.compile(
    r"\b(file\w*|url\w*|s3\w*|gcs|hdfs\w*|remote\w*|mysql|postgresql|sqlite|mongodb|redis|odbc|jdbc|executable|python"
    r"|input|azureBlobStorage\w*|iceberg\w*|deltaLake\w*|hudi\w*|paimon\w*|ytsaurus|arrowFlight)\s*\(",
    re.IGNORECASE,
)


def literal(text: str) -> str:
    """`text` as a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def code_of(sql: str) -> str:
    """`sql` without comments, with empty strings and plain names: what is left are words that mean something."""
    return _NOT_CODE.sub(_as_code, sql)


def _as_code(found: re.Match[str]) -> str:
    if found["comment"]:
        return " "
    return "''" if found["string"] else f" {_ODD_IN_NAME.sub('_', found['identifier'][1:-1])} "


def verb_of(code: str) -> str:
    """The first word in upper case; "(" for a bracketed SELECT; "" for nothing at all."""
    found = _FIRST_WORD.match(code)
    return found[1].upper() if found else ""


def format_of(code: str) -> str | None:
    """The format that the statement itself asks for."""
    found = _TAIL_FORMAT.search(code)
    return found[1] if found else None


def changes_connection(code: str) -> bool:
    """Whether it leaves something behind on its connection that the next borrower must not see."""
    return _CHANGES_CONNECTION.match(code) is not None


def refuse_harm(code: str, *, readonly: bool) -> None:
    """Raise ClickHouseError for what a server would refuse, or what would break this one."""
    if not code.strip(" \t\r\n;"):
        raise ClickHouseError(SYNTAX_ERROR, "Syntax error: empty query.", "SYNTAX_ERROR")
    if "\0" in code:
        raise ClickHouseError(BAD_ARGUMENTS, "A zero byte in the statement.", "BAD_ARGUMENTS")
    if _SECOND_STATEMENT.search(code):
        raise ClickHouseError(SYNTAX_ERROR, "Syntax error: multi-statements are not allowed.", "SYNTAX_ERROR")
    if found := _FATAL_ENGINE.search(code):
        raise ClickHouseError(NOT_IMPLEMENTED, f"The embedded engine cannot run {found[1]} tables.", "NOT_IMPLEMENTED")
    if _WRITES_FILE.search(code):
        raise ClickHouseError(NOT_IMPLEMENTED, "INTO OUTFILE is not allowed over HTTP.", "NOT_IMPLEMENTED")
    if readonly and (found := _REACHES_OUT.search(code)):
        raise ClickHouseError(ACCESS_DENIED, f"Not enough privileges for {found[1]}().", "ACCESS_DENIED")


def with_client_ids(sql: str, verb: str) -> str:
    """The same statement, but `query_id` of system.processes and of KILL QUERY is the id that the client gave."""
    if verb == "KILL":
        return _outside_strings(sql, lambda code: _QUERY_ID.sub(_CLIENT_ID, code))
    if verb in RESULT_VERBS:
        return _outside_strings(sql, lambda code: _PROCESSES.sub(_PROCESSES_WITH_CLIENT_IDS, code))
    return sql


def _outside_strings(sql: str, change: Callable[[str], str]) -> str:
    changed: list[str] = []
    at = 0
    for found in _NOT_CODE.finditer(sql):
        changed += (change(sql[at : found.start()]), found[0])
        at = found.end()
    return "".join((*changed, change(sql[at:])))

"""One request, understood: who asks, for what, with which settings. No I/O."""

from __future__ import annotations

import hmac
import math
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace

from axonstream.clickhouse.codes import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    UNKNOWN_FORMAT,
)
from axonstream.local.clickhouse_http.clickhouse_error import QUERY_IS_TOO_LARGE, ClickHouseError
from axonstream.local.clickhouse_http.engine import SessionUse
from axonstream.local.clickhouse_http.insert_statement import MAX_STATEMENT_BYTES, Insert, split_insert
from axonstream.local.clickhouse_http.permission import Permission, check_name
from axonstream.local.clickhouse_http.sql_text import (
    READING_VERBS,
    code_of,
    format_of,
    verb_of,
    with_client_ids,
)

_MAX_SESSION_S = 3600.0
_MAX_QUERY_SIZE = 256 << 10  # of the statement without the data of an INSERT; a server's default
_VALUES_AS_SQL_BYTES = 128 << 10
_SOME_FILE = "/proc/self/fd/0"  # stands for the file of an INSERT's data, whose name differs from one to the next
# URL parameters that are not settings; those of a server that have no meaning here are taken and do nothing.
_NOT_SETTINGS = frozenset(
    {"query", "query_id", "database", "default_format", "user", "password", "quota_key", "role", "stacktrace"}
    | {"session_id", "session_timeout", "session_check", "close_session", "client_protocol_version", "framing"}
    | {"compress", "decompress", "enable_http_compression", "buffer_size", "wait_end_of_query", "log_comment"}
    | {"send_progress_in_http_headers", "http_headers_progress_interval_ms", "add_http_cors_header"}
    | {"cancel_http_readonly_queries_on_client_close"}
)
_PARAM = "param_"
_NOT_FORMATS = frozenset({"arrowtable", "dataframe", "datastore"})  # chdb would make objects of Python of the answer
_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class User:
    """A user of the server. A `readonly` one may select, with the settings of the URL, and nothing else.

    The engine itself holds it to that, too (`readonly = 1`, which refuses SETTINGS in a statement). Its requests have
    no session: they may leave no setting and no table behind. What is allowed to nobody is in permission.py.
    """

    password: str
    readonly: bool


@dataclass(frozen=True)
class Call:
    """What one request asks. Exactly one of `insert` and `sql` says it."""

    query_id: str
    database: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    session: SessionUse | None
    insert: Insert | None
    sql: str
    verb: str
    output_format: str
    whole: bool
    lz4: bool

    @property
    def judged(self) -> str:
        """The statement that runs, but for the name of the file that holds the data of an INSERT."""
        return self.insert.reading(_SOME_FILE) if self.insert else self.sql

    def check(self, permission: Permission) -> None:
        """Raises ClickHouseError when what the engine reads there is not allowed in this call."""
        if permission.infile != (_SOME_FILE if self.insert else None):
            raise ClickHouseError(SYNTAX_ERROR, "Syntax error: the INSERT cannot be read.", "SYNTAX_ERROR")
        if self.insert and permission.data_format != self.insert.format:
            raise ClickHouseError(SYNTAX_ERROR, "Syntax error: the INSERT has two formats.", "SYNTAX_ERROR")
        permission.check(self.params, readonly=self.readonly)

    @property
    def readonly(self) -> bool:
        """Whether it was asked with a promise, or by a user or a method, not to write."""
        return self.settings.get("readonly", "0") not in ("", "0")

    @property
    def only_reads(self) -> bool:
        """A client that goes away takes it along."""
        return self.insert is None and self.verb in READING_VERBS


def authenticate(headers: Mapping[str, str], args: Mapping[str, str], users: Mapping[str, User]) -> tuple[str, User]:
    """The user by basic auth, by X-ClickHouse-User and -Key, or by URL. Garbage is refused (516) like a wrong one."""
    if "Authorization" in headers:
        name, password = _basic_auth(headers["Authorization"])
    else:
        name = headers.get("X-ClickHouse-User") or args.get("user") or "default"
        password = headers.get("X-ClickHouse-Key") or args.get("password") or ""
    user = users.get(name)
    if user is None or not hmac.compare_digest(_as_bytes(user.password), _as_bytes(password)):
        raise ClickHouseError(
            AUTHENTICATION_FAILED,
            f"{name!a}: Authentication failed: password is incorrect, or there is no user with such name.",
            "AUTHENTICATION_FAILED",
        )
    return name, user


def _basic_auth(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        name, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError as error:
        raise ClickHouseError(
            AUTHENTICATION_FAILED, "The Authorization header is not HTTP basic auth.", "AUTHENTICATION_FAILED"
        ) from error
    return name or "default", password


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def read_call(
    *,
    method: str,
    query_id: str,
    headers: Mapping[str, str],
    args: Mapping[str, str],
    body: bytes,
    user: tuple[str, User],
) -> Call:
    """The call of an authenticated request. Raises ClickHouseError for what cannot or may not be done."""
    if args.get("compress") == "1" or args.get("decompress") == "1":
        raise ClickHouseError(NOT_IMPLEMENTED, "Native block compression is not supported.", "NOT_IMPLEMENTED")
    params = {name.removeprefix(_PARAM): value for name, value in args.items() if name.startswith(_PARAM)}
    settings = {
        name: value for name, value in args.items() if name not in _NOT_SETTINGS and not name.startswith(_PARAM)
    }
    name, known = user
    session = None if known.readonly else _session(args, name)
    if readonly := _readonly(method, settings.pop("readonly", ""), known):
        settings["readonly"] = readonly  # the last of them: none that comes after it could undo it
    if method != "POST" and session is not None:
        raise ClickHouseError(BAD_ARGUMENTS, "Sessions need POST.", "BAD_ARGUMENTS")
    try:
        insert, sql = _statement(args.get("query", "").encode(), body, settings)
    except UnicodeError as error:
        raise ClickHouseError(BAD_ARGUMENTS, "The statement is not UTF-8.", "BAD_ARGUMENTS") from error
    code = code_of(insert.head if insert else sql)
    if not code.strip(" \t\r\n;"):
        raise ClickHouseError(SYNTAX_ERROR, "Syntax error: empty query.", "SYNTAX_ERROR")
    if "\0" in code:
        raise ClickHouseError(BAD_ARGUMENTS, "A zero byte in the statement.", "BAD_ARGUMENTS")
    verb = verb_of(code)
    output_format = (
        format_of(code) or args.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated"
    )
    if not _NAME.fullmatch(output_format) or output_format.lower() in _NOT_FORMATS:
        raise ClickHouseError(UNKNOWN_FORMAT, f"Unknown format {output_format!a}.", "UNKNOWN_FORMAT")
    database = args.get("database") or headers.get("X-ClickHouse-Database") or "default"
    check_name(database)
    return Call(
        query_id=query_id,
        database=database,
        settings=settings,
        params=params,
        session=session,
        insert=insert,
        sql=with_client_ids(sql, verb),
        verb=verb,
        output_format=output_format,
        whole=args.get("wait_end_of_query") == "1",
        lz4=args.get("enable_http_compression") == "1" and "lz4" in headers.get("Accept-Encoding", ""),
    )


def _readonly(method: str, asked: str, user: User) -> str:
    """ClickHouse's setting: 1 forbids writing, settings and the world outside; 2, of GET and HEAD, forbids writing."""
    if user.readonly:
        return "1"
    return "2" if method != "POST" and asked != "1" else asked


def _statement(query: bytes, body: bytes, settings: Mapping[str, str]) -> tuple[Insert | None, str]:
    """An INSERT and its data, or the SQL text. The URL's `query` comes before the body.

    VALUES may hold any expression, and parameters: as a SELECT they are judged with the rest of the statement. Above
    _VALUES_AS_SQL_BYTES they are data, and literals only (see answers.py).
    """
    insert = split_insert(query)
    if insert is not None:
        insert = replace(insert, pieces=(*insert.pieces, memoryview(body)))
    else:
        text = query + b"\n" + body if query and body else query or body
        insert = split_insert(text)
    if insert is not None and insert.format == "Values" and sum(map(len, insert.pieces)) <= _VALUES_AS_SQL_BYTES:
        values = b"".join(insert.pieces).decode().strip().removesuffix(";")
        return None, f"{insert.head} {insert.settings} SELECT * FROM (VALUES {values}\n)"  # noqa: S608  judged
    if insert is not None:
        return insert, ""
    text = query + b"\n" + body if query and body else query or body
    if len(text) > MAX_STATEMENT_BYTES:
        raise ClickHouseError(
            QUERY_IS_TOO_LARGE, f"A statement of more than {MAX_STATEMENT_BYTES} bytes.", "QUERY_IS_TOO_LARGE"
        )
    if len(text) > _max_query_size(settings.get("max_query_size", "")):
        raise ClickHouseError(
            SYNTAX_ERROR,
            "Max query size exceeded (can be increased with the `max_query_size` setting).",
            "SYNTAX_ERROR",
        )
    return None, text.decode().strip()


def _max_query_size(asked: str) -> int:
    """As the setting of that name, whose 0 is no limit."""
    size = int(asked) if asked.isascii() and asked.isdigit() else _MAX_QUERY_SIZE
    return size or MAX_STATEMENT_BYTES


def _session(args: Mapping[str, str], user: str) -> SessionUse | None:
    if not (name := args.get("session_id")):
        return None
    try:
        timeout_s = float(args.get("session_timeout", "60"))
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s <= _MAX_SESSION_S:
        raise ClickHouseError(BAD_ARGUMENTS, f"session_timeout is 1 to {_MAX_SESSION_S:.0f} s.", "BAD_ARGUMENTS")
    return SessionUse((user, name), timeout_s, must_exist=args.get("session_check") == "1")

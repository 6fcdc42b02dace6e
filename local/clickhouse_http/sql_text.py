"""What a statement does, told from its text: enough to route it and to show query ids.

Nothing is allowed or refused by it (permission.py does that): a text that it misreads is answered in another form, or
outlives its client.
"""

from __future__ import annotations

import re
from collections.abc import Callable

READING_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "FROM", "("})
RESULT_VERBS = READING_VERBS | {"KILL"}
STREAMING_VERBS = frozenset({"SELECT", "WITH"})

_COMMENT = r"(?P<comment>--[^\n]*+|\#[ !][^\n]*+|/\*.*?(?:\*/|\Z))"
_STRING = r"(?P<string>'(?:[^'\\]++|\\.|'')*+'?|\$(?P<heredoc>\w*)\$.*?\$(?P=heredoc)\$)"
_IDENTIFIER = r"""(?P<identifier>"(?:[^"\\]++|\\.)*+"?|`(?:[^`\\]++|\\.)*+`?)"""
_NOT_CODE = re.compile(f"{_COMMENT}|{_STRING}|{_IDENTIFIER}", re.DOTALL)
_ODD_IN_NAME = re.compile(r"\W+")
_FIRST_WORD = re.compile(r"\s*(\(|\w+)")
_TAIL_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(SETTINGS\s[^;]*)?;?\s*\Z", re.IGNORECASE)
_PROCESSES = re.compile(r"\bsystem\s*\.\s*processes\b", re.IGNORECASE)
_QUERY_ID = re.compile(r"\bquery_id\b(?!\s*:)", re.IGNORECASE)  # a parameter may be named so, too: {query_id:String}
_CLIENT_ID = "if(Settings['log_comment'] != '', Settings['log_comment'], query_id)"
_PROCESSES_WITH_CLIENT_IDS = "(SELECT * REPLACE (ID AS query_id) FROM system.processes)".replace("ID", _CLIENT_ID, 1)


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

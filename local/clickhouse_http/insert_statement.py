"""Where an INSERT ends and its data begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

from axonstream.local.clickhouse_http.sql_text import literal

MAX_STATEMENT_BYTES = 1 << 20
# Possessive, and open to the end of the text, so that no input takes more than one pass.
_LEXEME = re.compile(
    rb"""
      --[^\n]*+ | \#[\x20!][^\n]*+ | /\*.*?(?:\*/|\Z)      # a comment
    | '(?:[^'\\]++|\\.|'')*+'?                             # a string
    | "(?:[^"\\]++|\\.)*+"? | `(?:[^`\\]++|\\.)*+`?        # an identifier
    | \w++ | [^\w\s]
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = (b"--", b"/*", b"# ", b"#!")
_FORMAT_NAME = re.compile(rb"\s+(\w+)")
_SETTING = re.compile(rb"\s+\w+\s*=")  # a table may be called settings, too
_DATA_BEGINS = re.compile(rb"[ \t\f]*+(?:;[ \t\f]*+)?(?:\r?\n)?")
_NO_DATA_FOLLOWS = frozenset({b"SELECT", b"WITH", b"INFILE", b"WATCH"})


@dataclass(frozen=True)
class Insert:
    """`head` is the statement up to `settings` (its SETTINGS clause, or nothing), both without FORMAT.

    The data are the bytes of `pieces`, one after the other.
    """

    head: str
    format: str
    pieces: tuple[memoryview, ...]
    settings: str = ""

    def reading(self, path: str) -> str:
        """The statement that runs, with the data in the file `path`."""
        return f"{self.head} FROM INFILE {literal(path)} COMPRESSION 'none' {self.settings} FORMAT {self.format}"


def split_insert(text: bytes) -> Insert | None:
    """INSERT ... FORMAT <name> <data> and INSERT ... VALUES <data>; None for any other statement.

    Raises UnicodeDecodeError when the head is not UTF-8. Does not look further than MAX_STATEMENT_BYTES for the data,
    and does not copy them. The line end after the format's name belongs to the statement.
    """
    depth = 0
    first = True
    settings_at: int | None = None
    for token in _LEXEME.finditer(text, 0, MAX_STATEMENT_BYTES):
        word = token[0].upper()
        if word.startswith(_COMMENT):
            continue
        if first and word != b"INSERT":
            return None
        first = False
        depth += (word == b"(") - (word == b")")
        if depth:
            continue
        if word in _NO_DATA_FOLLOWS:
            return None
        if word == b"SETTINGS" and settings_at is None and _SETTING.match(text, token.end()):
            settings_at = token.start()
        if word == b"VALUES":
            return _insert(text, settings_at, token.start(), "Values", token.end())
        if word == b"FORMAT" and (name := _FORMAT_NAME.match(text, token.end())):
            begin = _DATA_BEGINS.match(text, name.end())
            end = begin.end() if begin else name.end()
            return _insert(text, settings_at, token.start(), name[1].decode(), end)
    return None


def _insert(text: bytes, settings_at: int | None, head_end: int, name: str, data_begin: int) -> Insert:
    split = head_end if settings_at is None else settings_at
    data = memoryview(text)[data_begin:]
    name = "Values" if name.lower() == "values" else name  # the engine takes the name of a format in any case
    return Insert(text[:split].decode(), name, (data,), text[split:head_end].decode())

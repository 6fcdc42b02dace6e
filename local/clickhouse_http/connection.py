"""One chdb connection. Everything here blocks: call it on a thread (chdb releases the GIL while the engine works)."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Any

import chdb
from chdb.state.sqlitelike import StreamingResult

from axonstream.clickhouse.codes import UNKNOWN_SETTING
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.insert_statement import Insert
from axonstream.local.clickhouse_http.sql_text import identifier, literal

_SETTING_NAME = re.compile(r"\w+")
# Once set, these forbid or change too much for a reset to be sure: the connection is not used again.
_NOT_RESETTABLE = frozenset({"readonly", "allow_ddl", "compatibility", "profile"})


@dataclass(frozen=True)
class Whole:
    """A result held in memory, and the figures for its summary."""

    data: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    result_rows: int


class Connection:
    """A chdb connection and what the last request left changed on it.

    `tainted`: do not lend it again, its state is not known. Closing one and opening another takes 0.3 ms.
    """

    def __init__(self, directory: str) -> None:
        self._chdb = chdb.connect(directory)
        self._changed: frozenset[str] = frozenset()
        self._database = "default"
        self.tainted = False

    def close(self) -> None:
        self._chdb.close()

    def prepare(self, database: str, settings: Mapping[str, str], query_id: str) -> None:
        """Set this request's settings and database, and undo those of the request before: one statement, 0.15 ms."""
        if unknown := next((name for name in settings if not _SETTING_NAME.fullmatch(name)), None):
            raise ClickHouseError(UNKNOWN_SETTING, f"Unknown setting '{unknown}'.", "UNKNOWN_SETTING")
        self.tainted = True  # until all of it went through
        resets = [f"{name} = DEFAULT" for name in sorted(self._changed - settings.keys())]
        changes = [f"{name} = {literal(value)}" for name, value in settings.items()]
        self.query(f"SET {', '.join((*resets, *changes, f'log_comment = {literal(query_id)}'))}")
        self._changed = frozenset(settings)
        if database != self._database:
            self.query(f"USE {identifier(database)}")
            self._database = database
        self.tainted = not _NOT_RESETTABLE.isdisjoint(settings)

    def query(self, sql: str, output_format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Whole:
        try:
            result: Any = self._chdb.query(sql, output_format, params=dict(params or {}))
            data = result.bytes() or b""
        except RuntimeError as error:
            self.tainted = True
            raise ClickHouseError.of_engine(error) from error
        return Whole(
            data=data,
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            result_rows=result.rows_read(),
        )

    def insert(self, insert: Insert) -> tuple[int, int]:
        """Run the whole INSERT; (rows, bytes) written once the engine has finished it.

        The data go in as a file in memory, because chdb's `send_insert` reports success for an INSERT that was killed
        or ran out of time, and nothing of which is stored (chdb 4.4, engine 26.9).
        """
        with _file_of(insert.pieces) as path:
            done = self.query(insert.reading(path))
        return done.written_rows, sum(len(piece) for piece in insert.pieces)

    def stream(self, sql: str, output_format: str, params: Mapping[str, str]) -> Blocks:
        """Start a SELECT whose result is fetched block by block; the connection is taken until its end or close()."""
        try:
            return Blocks(self, self._chdb.send_query(sql, output_format, dict(params)))
        except RuntimeError as error:
            self.tainted = True
            raise ClickHouseError.of_engine(error) from error


class Blocks:
    """The blocks of one running SELECT."""

    def __init__(self, connection: Connection, result: StreamingResult) -> None:
        self._connection = connection
        self._result = result

    def next(self) -> bytes | None:
        """The next block; None after the last. Raises ClickHouseError."""
        try:
            chunk = self._result.fetch()
            return None if chunk is None else chunk.bytes()
        except RuntimeError as error:
            self._connection.tainted = True
            raise ClickHouseError.of_engine(error) from error

    def close(self) -> None:
        """Stop the SELECT. Safe at any time but during next()."""
        self._connection.tainted = True
        with contextlib.suppress(RuntimeError):
            self._result.close()


def summary_of(whole: Whole, *, elapsed_ns: int) -> dict[str, int]:
    """The figures of X-ClickHouse-Summary."""
    return {
        "read_rows": whole.read_rows,
        "read_bytes": whole.read_bytes,
        "written_rows": whole.written_rows,
        "written_bytes": 0,
        "result_rows": whole.result_rows,
        "elapsed_ns": elapsed_ns,
    }


@contextlib.contextmanager
def _file_of(pieces: Iterable[memoryview]) -> Generator[str]:
    """The path of a file that holds the pieces: in memory where the system has such files, else on disk."""
    in_memory = sys.platform == "linux"
    with os.fdopen(os.memfd_create("insert"), "wb") if in_memory else NamedTemporaryFile() as file:
        file.writelines(pieces)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}" if in_memory else file.name


__all__: Sequence[str] = ("Blocks", "Connection", "Whole", "summary_of")

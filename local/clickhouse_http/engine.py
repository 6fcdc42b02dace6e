"""The engine of one directory: connections that requests borrow, sessions that keep theirs, and KILL.

A connection carries settings, the database and temporary tables, and runs one statement at a time. So a request has one
for itself from its first statement to its last byte, and the work on it runs in a task of its own (`Engine.work`):
a client that goes away ends the waiting for that task, never the task in the middle of an engine call.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from axonstream.clickhouse.codes import (
    ABORTED,
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    TOO_DEEP_RECURSION,
    TOO_MANY_SIMULTANEOUS_QUERIES,
)
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.connection import Connection
from axonstream.local.clickhouse_http.insert_statement import MAX_STATEMENT_BYTES
from axonstream.local.clickhouse_http.permission import Permission, permission
from axonstream.local.clickhouse_http.permitted_settings import PermittedSettings
from axonstream.local.clickhouse_http.sql_text import literal
from axonstream.local.clickhouse_http.statement_tree import tree_of

QUERIES_AT_ONCE = 32
KILLS_AT_ONCE = 8
SESSIONS = 256
PERMISSIONS = 4096
_KILL_AGAIN_S = 0.2
_KEPT_STATEMENT = 8192  # characters

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class SessionUse:
    """A request's place in a session: it keeps its connection for `timeout_s` after the last request."""

    key: tuple[str, str]
    timeout_s: float
    must_exist: bool = False


@dataclass
class _Session:
    connection: Connection | None  # None while a request has it
    expires: float


class Engine:
    """Opens the directory. `version` and `timezone` are the engine's. Made and used on one event loop."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._control = Connection(directory)
        self._control_thread = ThreadPoolExecutor(1, "clickhouse-control")
        self._parser = Connection(directory)
        self._parser.query(f"SET max_query_size = {2 * MAX_STATEMENT_BYTES}")  # of the statement in base64
        self._parser_thread = ThreadPoolExecutor(1, "clickhouse-parser")
        self._permissions: OrderedDict[str, Permission] = OrderedDict()
        self._threads = ThreadPoolExecutor(QUERIES_AT_ONCE + KILLS_AT_ONCE, "clickhouse")
        self.query_slots = asyncio.Semaphore(QUERIES_AT_ONCE)
        self.kill_slots = asyncio.Semaphore(KILLS_AT_ONCE)
        self._idle: list[Connection] = []
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._running_ids: set[str] = set()
        self._draining = False
        self.version = self._ask("SELECT version()")
        self.timezone = self._ask("SELECT timezone()")
        self._settings = PermittedSettings(
            self._types("SELECT name, type FROM system.settings"),
            self._types("SELECT name, type FROM system.merge_tree_settings"),
        )

    def _ask(self, sql: str) -> str:
        return self._control.query(sql).data.decode().strip()

    def _types(self, sql: str) -> dict[str, str]:
        return dict(line.split("\t") for line in self._ask(sql).splitlines())

    async def permission(self, sql: str, settings: Iterable[str]) -> Permission:
        """What the statement does, as the engine itself reads it. Raises ClickHouseError when it is not allowed.

        Statements with parameters repeat, so what was found of the last PERMISSIONS is kept.
        """
        for name in settings:
            self._settings.check(name)
        found = self._permissions.get(sql)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(self._parser_thread, self._judged, sql)
            if len(sql) <= _KEPT_STATEMENT:
                self._permissions[sql] = found
                if len(self._permissions) > PERMISSIONS:
                    self._permissions.popitem(last=False)
        else:
            self._permissions.move_to_end(sql)
        return found

    def _judged(self, sql: str) -> Permission:
        try:
            return permission(tree_of(sql, self._parse), self._settings)
        except RecursionError as error:
            raise ClickHouseError(
                TOO_DEEP_RECURSION, "The statement is nested too deeply.", "TOO_DEEP_RECURSION"
            ) from error

    def _parse(self, question: str) -> bytes:
        return self._parser.query(question, "TSVRaw").data

    async def run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """A blocking call on a thread. Only to be awaited inside `work`, which nobody cancels."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

    async def work(self, job: Coroutine[None, None, _T], query_id: str, *, stop_when_left: bool) -> _T:
        """Await `job` to its end, even when this waiting is cancelled.

        Cancelled with `stop_when_left`, it kills the query again and again until the job ends: the first KILL may come
        before the engine knows the query. Without (an INSERT), the job runs on to its end.
        """
        if self._draining:
            job.close()
            raise ClickHouseError(ABORTED, "The server is stopping.", "ABORTED")
        if query_id in self._running_ids:  # or else who shares an id and leaves would kill the query of another
            job.close()
            raise ClickHouseError(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
                f"Query with id = {query_id} is already running.",
                "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
            )
        task = asyncio.create_task(job)
        self._tasks.add(task)
        self._running_ids.add(query_id)
        task.add_done_callback(lambda done: self._forget(done, query_id))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                if stop_when_left:
                    await self.kill(f"Settings['log_comment'] = {literal(query_id)}")
                await asyncio.wait([task], timeout=_KILL_AGAIN_S)
            raise

    def _forget(self, task: asyncio.Task[object], query_id: str) -> None:
        self._tasks.discard(task)
        self._running_ids.discard(query_id)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; that a left query was killed is no news

    async def kill(self, condition: str) -> None:
        """Tell the queries of this condition to stop, without waiting for them."""
        await self._on_control(f"KILL QUERY WHERE {condition} ASYNC")

    async def ping(self) -> None:
        """Return once the engine has answered."""
        await self._on_control("SELECT 1")

    async def _on_control(self, sql: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._control_thread, self._control.query, sql)

    @asynccontextmanager
    async def connection(self, session: SessionUse | None) -> AsyncGenerator[Connection]:
        """A connection for one request: the session's own, an idle one, or a new one."""
        if session is not None:
            async with self._in_session(session) as held:
                yield held
            return
        held = self._idle.pop() if self._idle else await self.run(Connection, self._directory)
        try:
            yield held
        finally:
            if held.tainted:
                await self.run(held.close)
            else:
                self._idle.append(held)

    @asynccontextmanager
    async def _in_session(self, use: SessionUse) -> AsyncGenerator[Connection]:
        await self._close_expired()
        session = self._sessions.get(use.key)
        if session is None:
            if use.must_exist:
                raise ClickHouseError(SESSION_NOT_FOUND, f"Session {use.key[1]} not found.", "SESSION_NOT_FOUND")
            if len(self._sessions) >= SESSIONS:
                raise ClickHouseError(
                    TOO_MANY_SIMULTANEOUS_QUERIES,
                    f"There are {SESSIONS} sessions. Do without (autogenerate_session_id=False), or let some expire.",
                    "TOO_MANY_SIMULTANEOUS_QUERIES",
                )
            session = self._sessions[use.key] = _Session(None, 0.0)
            try:
                held = await self.run(Connection, self._directory)
            except ClickHouseError:
                del self._sessions[use.key]
                raise
        elif session.connection is None:
            raise ClickHouseError(
                SESSION_IS_LOCKED, f"Session {use.key[1]} is locked by a concurrent client.", "SESSION_IS_LOCKED"
            )
        else:
            held, session.connection = session.connection, None
        try:
            yield held
        finally:  # SET, USE and temporary tables are the session's to keep, so `tainted` does not count here
            session.connection, session.expires = held, time.monotonic() + use.timeout_s

    async def _close_expired(self) -> None:
        now = time.monotonic()
        for key, session in list(self._sessions.items()):
            if session.connection is not None and session.expires < now:
                del self._sessions[key]
                await self.run(session.connection.close)

    async def drain(self, timeout_s: float) -> None:
        """Take no more work, give the running work `timeout_s` to end, then kill all of it but INSERTs, and wait."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        while self._tasks:
            await self.kill("query_kind != 'Insert' AND Settings['log_comment'] != ''")
            await asyncio.wait(self._tasks, timeout=_KILL_AGAIN_S)

    def close(self) -> None:
        """Close the directory. Only once drained."""
        sessions = [session.connection for session in self._sessions.values()]
        self._parser_thread.shutdown()
        for held in (*self._idle, *sessions, self._control, self._parser):
            if held is not None:
                held.close()
        self._threads.shutdown()
        self._control_thread.shutdown()

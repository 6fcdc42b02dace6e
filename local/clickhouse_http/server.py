"""Serve one directory on one port, until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from axonstream.local.clickhouse_http.call import User
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError, DirectoryInUseError, OpenToAllError
from axonstream.local.clickhouse_http.engine import Engine
from axonstream.local.clickhouse_http.engine_pages import give_back_pages
from axonstream.local.clickhouse_http.http_interface import HttpInterface
from axonstream.local.clickhouse_http.request_body import BodyMemory
from axonstream.settings.loopback import is_loopback

DRAIN_S = 5.0
_STRAGGLERS_S = 0.5  # who has not sent all of a request by then
_MAX_HEADER_BYTES = 1 << 20  # http_max_uri_size of a server
_LOCK = "server.lock"
_NO_FILES = "no-files"
_DEEPEST_TREE = 20_000  # calls within calls; the engine itself refuses a statement that is nested 1,000 deep


def run(data_dir: Path, host: str = "127.0.0.1", port: int = 8123, password: str = "") -> None:
    """Serve until SIGTERM or SIGINT; prints "ready clickhouse" once listening.

    A stop gives running requests DRAIN_S to finish, kills what only reads, waits for INSERTs, and closes the engine.
    Users: `default`, and `reader`, which only reads; `password` is for both. On loopback a request must name this
    server by a name of loopback in its Host header; elsewhere any name is right, and the password must not be empty.

    The process works in an empty directory from then on, as the engine takes the name of a table that it does not know
    for a file of the working directory. Raises OpenToAllError, and DirectoryInUseError when another process has
    `data_dir`.
    """
    if not password and not is_loopback(host):
        raise OpenToAllError(
            f"Without a password, anyone who reaches {host}:{port} owns the data: set AXONSTREAM_CLICKHOUSE_PASSWORD, "
            "or listen on 127.0.0.1"
        )
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir):
        (data_dir / _NO_FILES).mkdir(exist_ok=True)
        os.chdir(data_dir / _NO_FILES)
        sys.setrecursionlimit(_DEEPEST_TREE)
        asyncio.run(_serve(data_dir, host, port, password))


@contextmanager
def _locked(data_dir: Path) -> Generator[None]:
    """Hold the directory against a second server: chdb refuses one too, but with an empty message."""
    with (data_dir / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise DirectoryInUseError(
                f"{data_dir} is in use by another ClickHouse server (pid {lock.read().strip() or 'unknown'}): "
                "use that one, stop it, or choose another directory."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


async def _serve(data_dir: Path, host: str, port: int, password: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    engine = _open(data_dir)
    give_back_pages()
    users = {"default": User(password, readonly=False), "reader": User(password, readonly=True)}
    application = HttpInterface(engine, users, BodyMemory(), on_loopback=is_loopback(host)).application()
    application.on_shutdown.append(lambda _: engine.drain(DRAIN_S))  # the port is closed by then
    runner = web.AppRunner(
        application,
        auto_decompress=False,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=_STRAGGLERS_S,
        logger=_log(),
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        print("ready clickhouse", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()
        await engine.drain(0)
        engine.close()


def _log() -> logging.Logger:
    """aiohttp's log without what is not HTTP: whoever sent it was answered 400."""
    log = logging.getLogger("axonstream.clickhouse_http")
    log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return log


def _open(data_dir: Path) -> Engine:
    try:
        return Engine(str(data_dir.resolve()))
    except RuntimeError as error:
        raise DirectoryInUseError(
            f"The engine cannot open {data_dir}: {error}. Is another program using the directory with chdb?"
        ) from error
    except ClickHouseError as error:
        raise DirectoryInUseError(f"The engine opened {data_dir}, but does not answer: {error.text}") from error

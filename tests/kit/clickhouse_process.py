"""A ClickHouse server process of a test's own."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httputil import get_pool_manager

READY_S = 60.0


class ClickHouseProcess:
    """The server of `directory` on `port`, or on one of its own, listening once made.

    `wrapped_in` is a command that runs it, as strace does.
    """

    def __init__(self, directory: Path, password: str = "", port: int = 0, wrapped_in: Sequence[str] = ()) -> None:
        with socket.create_server(("127.0.0.1", port)) as free:
            self.port: int = free.getsockname()[1]
        self._directory, self._password = directory, password
        self._pool = get_pool_manager(maxsize=64)  # the default keeps 8 connections and leaves the others open
        self.process = start(directory, self.port, password, wrapped_in)
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_S)
        assert readable, "not ready in time"
        assert self.process.stdout.readline() == "ready clickhouse\n"

    def client(self, **options: Any) -> Client:
        """An unmodified clickhouse-connect client without a session, unless asked for."""
        options.setdefault("autogenerate_session_id", False)
        options.setdefault("pool_mgr", self._pool)
        options.setdefault("password", self._password)
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)

    def again(self) -> ClickHouseProcess:
        """The next server, after this one was killed: the same directory, port and password."""
        return ClickHouseProcess(self._directory, self._password, self.port)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        code = self.process.wait(READY_S)
        self._pool.clear()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def start(directory: Path, port: int, password: str = "", wrapped_in: Sequence[str] = ()) -> subprocess.Popen[str]:
    """The process, not waited for; standard output is a pipe, standard error goes to the file `stderr` beside."""
    command = [
        *wrapped_in,
        sys.executable,
        "-m",
        "axonstream.local.clickhouse_http",
        str(directory),
        "--port",
        str(port),
    ]
    with directory.with_suffix(".stderr").open("a") as stderr:
        return subprocess.Popen(
            command,
            env={**os.environ, "AXONSTREAM_CLICKHOUSE_PASSWORD": password},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


@contextmanager
def serving(directory: Path, password: str = "") -> Generator[ClickHouseProcess]:
    """A server for a block of code; it must stop cleanly and have printed no traceback."""
    server = ClickHouseProcess(directory, password)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0
    assert "Traceback" not in directory.with_suffix(".stderr").read_text()

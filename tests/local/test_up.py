"""`axonstream up` as a user meets it: one owner of a directory, a clean stop, and what was stored is served again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import psutil
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from axonstream import AxonPush

pytestmark = pytest.mark.services

STOPS_WITHIN_S = 60


def command(directory: Path, *arguments: str) -> list[str]:
    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    return [sys.executable, "-m", "axonstream.cli.main", "up", *ports, "--data-dir", str(directory), *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}


def start(directory: Path) -> tuple[subprocess.Popen[str], str]:
    """The process, and the URL from its ready line."""
    stack = subprocess.Popen(
        command(directory), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert stack.stdout is not None
    for line in stack.stdout:
        if line.startswith("axonstream is ready: "):
            assert line.endswith("(API key ak_local, tenant 1)\n")
            return stack, line.split()[3]
    raise AssertionError("the stack did not start")


def stop(stack: subprocess.Popen[str], directory: Path, how: signal.Signals) -> None:
    parts = [psutil.Process(int(file.read_text())) for file in (directory / "run").glob("*.pid")]
    assert len(parts) == 5
    stack.send_signal(how)
    assert stack.wait(STOPS_WITHIN_S) == 0
    assert [part for part in parts if part.is_running()] == []
    assert list((directory / "run").glob("*.pid")) == []
    assert stack.stdout is not None
    stack.stdout.close()


def test_a_second_owner_is_refused_and_a_second_start_serves_what_the_first_stored(tmp_path: Path) -> None:
    stack, url = start(tmp_path)
    with AxonPush("ak_local", "1", base_url=url) as client:
        client.events.publish("kept", {}, 1, trace_id="tr_kept")
        assert client.traces.get_summary("tr_kept").total_events == 1
    second = subprocess.run(
        command(tmp_path), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert "already running" in second.stderr
    stop(stack, tmp_path, signal.SIGTERM)

    stack, url = start(tmp_path)
    with AxonPush("ak_local", "1", base_url=url) as client:
        assert [event.identifier for event in client.traces.get_events("tr_kept")] == ["kept"]
        client.events.publish("more", {}, 1, trace_id="tr_kept")
        assert client.traces.get_summary("tr_kept").total_events == 2
    stop(stack, tmp_path, signal.SIGINT)


def test_nothing_of_a_stack_is_open_to_others(tmp_path: Path) -> None:
    """S15: under the usual umask, on a directory of the version before, which was open to all and had no password."""
    directory = tmp_path / "data"
    (directory / "logs").mkdir(parents=True)
    (directory / "logs" / "kafka.log").write_text("of the version before\n")
    directory.chmod(0o755)
    before = os.umask(0o022)
    try:
        stack, _ = start(directory)
    finally:
        os.umask(before)
    try:
        assert directory.stat().st_mode & 0o777 == 0o700
        new = [path for path in directory.rglob("*") if "logs" not in path.parts]
        assert [path for path in new if not path.is_symlink() and path.stat().st_mode & 0o077] == []
        assert (directory / "clickhouse.env").stat().st_mode & 0o777 == 0o600
        login = dict(line.split("=", 1) for line in (directory / "clickhouse.env").read_text().splitlines()[1:])
        url = urlsplit(login["CLICKHOUSE_URL"])
        client = clickhouse_connect.get_client(
            host=url.hostname or "",
            port=url.port or 0,
            username=login["CLICKHOUSE_USER"],
            password=login["CLICKHOUSE_PASSWORD"],
        )
        assert client.command("SELECT 7") == 7
        client.close()
        with pytest.raises(DatabaseError, match="516"):
            clickhouse_connect.get_client(host=url.hostname or "", port=url.port or 0)
        commands = [" ".join(psutil.Process(int(file.read_text())).cmdline()) for file in directory.glob("run/*.pid")]
        assert not any(login["CLICKHOUSE_PASSWORD"] in command for command in commands), "all users see these"
        asked = subprocess.run(
            [
                sys.executable,
                "-m",
                "axonstream.cli.main",
                "sql",
                "SELECT 7 AS n",
                "-o",
                "json",
                "--data-dir",
                str(directory),
            ],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(asked.stdout) == [{"n": 7}], asked.stderr
    finally:
        stop(stack, directory, signal.SIGTERM)


def test_a_taken_gateway_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            command(tmp_path, "--port", port),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert "--port" in refused.stderr

"""`axonstream up` as a user meets it: one owner of a directory, a clean stop, and what was stored is served again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from axonstream import AxonPush

pytestmark = pytest.mark.services

STOPS_WITHIN_S = 20


def command(directory: Path, *arguments: str) -> list[str]:
    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    return [sys.executable, "-m", "deploy.cli", "up", *ports, "--data-dir", str(directory), *arguments]


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
    began = time.monotonic()
    assert stack.wait(STOPS_WITHIN_S) == 0
    assert time.monotonic() - began < STOPS_WITHIN_S
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

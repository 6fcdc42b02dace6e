"""A data directory that an earlier version has written is served, gone on with, and verified."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from axonstream import AxonPush
from kit.printed import end
from kit.stored_stack import SETTINGS, answers, missing_from, unpack, versions

STOPS_WITHIN_S = 60
KEPT = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}


def axonstream(*arguments: str) -> str:
    command = [sys.executable, "-m", "axonstream.cli.main", *arguments]
    done = subprocess.run(command, env={**KEPT, **SETTINGS}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def started(directory: Path) -> tuple[subprocess.Popen[str], str]:
    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    stack = subprocess.Popen(
        [sys.executable, "-m", "axonstream.cli.main", "up", *ports, "--data-dir", str(directory)],
        env={**KEPT, **SETTINGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stack.stdout is not None
    for line in stack.stdout:
        if line.startswith("axonstream is ready: "):
            return stack, line.split()[3]
    raise AssertionError("the stack did not start")


def goes_on(url: str, before: dict[str, Any]) -> None:
    """A trace of before gets one event more, and one that it has already under its dedup key."""
    _, summary = before["summaries"]["tr_old_0"]
    with AxonPush("ak_local", "1", base_url=url) as client:
        client.events.publish("again", {}, 1, trace_id="tr_old_0", dedup_key="d0-0")
        client.events.publish("new", {}, 1, trace_id="tr_old_0")
        assert client.traces.get_summary("tr_old_0").total_events == summary["totalEvents"] + 1
        identifiers = [event.identifier for event in client.traces.get_events("tr_old_0")]
    assert (identifiers.count("again"), identifiers.count("new")) == (0, 1)


@pytest.mark.services
@pytest.mark.parametrize("version", versions())
def test_what_an_earlier_version_has_stored_is_served_and_gone_on_with(version: str, tmp_path: Path) -> None:
    before = unpack(version, tmp_path)
    stack, url = started(tmp_path)
    try:
        now = answers(url)
        assert now["summaries"].keys() == before["summaries"].keys()
        assert [one for what in ("summaries", "events") for one in missing_from(now[what], before[what])] == []
        with httpx.Client(
            base_url=url, headers={"x-axonpush-api-key": before["key"]}, trust_env=False, timeout=60
        ) as own:
            assert own.get("/traces/tr_old_0/summary").status_code == 200  # the key is known
            assert own.get("/traces/tr_deleted/summary").status_code == 404  # and what was deleted stays so
        assert "schema version is not 1" in axonstream("dead-letters", "list", "--data-dir", str(tmp_path))
        goes_on(url, before)
        assert "nothing is lost, nothing is twice" in axonstream("verify", "--deep", "--data-dir", str(tmp_path))
        stack.send_signal(signal.SIGTERM)
        assert stack.wait(STOPS_WITHIN_S) == 0
    finally:
        end(stack)


def test_the_comparison_finds_what_is_not_answered_any_more() -> None:
    before = {"tr_1": ["key", {"a": 1, "b": [{"c": "x"}, {"c": "y"}]}]}
    assert missing_from({"tr_1": ["key", {"a": 1, "b": [{"c": "x", "d": 0}, {"c": "y"}]}]}, before) == []
    assert missing_from({"tr_1": ["key", {"a": 2, "b": [{"c": "x"}, {}]}]}, before) == [
        ".tr_1[1].a: 2 and not 1",
        ".tr_1[1].b[1].c",
    ]
    assert missing_from({"tr_1": ["key", {"a": 1, "b": []}]}, before) == [
        ".tr_1[1].b: [] and not [{'c': 'x'}, {'c': 'y'}]"
    ]

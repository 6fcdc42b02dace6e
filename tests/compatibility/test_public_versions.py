"""The public package `axonpush`, unmodified, in each supported version, with nothing changed but its base_url."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from kit.client_environment import run_program

pytestmark = pytest.mark.services

PROGRAMS = Path(__file__).parent / "programs"
EARLY = ("0.0.1", "0.0.5", "0.0.9")
RECENT = ("0.0.19",)
EVERY = EARLY + RECENT
PAYLOAD = {"n": 1, "big": 2**53 + 1, "none": None}
ENDPOINT = [True, "https://example.com/hook", True, ["agent.error"], True, "d"]


@cache
def seen_by(version: str, url: str) -> dict[str, Any]:
    """What a program of this version saw; it runs once for all tests."""
    program = PROGRAMS / ("recent.py" if version in RECENT else "early.py")
    return run_program(version, program, url, f"tr_{token_hex(8)}")


@pytest.fixture
def seen(version: str, gateway_url: str) -> dict[str, Any]:
    return seen_by(version, gateway_url)


@pytest.mark.parametrize("version", EARLY)
def test_an_early_client_publishes_and_reads_its_trace(seen: dict[str, Any]) -> None:
    assert seen["published"] == {"identifier": "web_search", "payload": PAYLOAD, "metadata": {"a": "é"}}
    summary = seen["summary"]
    assert isinstance(summary.pop("duration_ms"), int)
    assert summary == {"events": 2, "errors": 1, "tool_calls": 1, "agents": ["researcher", "writer"]}
    assert seen["events"] == [["web_search", None], ["summarize", 0]]
    assert [count for _, count in seen["traces"]] == [2]


@pytest.mark.parametrize("version", RECENT)
def test_a_recent_client_publishes_and_reads_its_trace(seen: dict[str, Any]) -> None:
    assert seen["published"] == [True, "stored"]
    assert seen["payload"] == PAYLOAD
    assert seen["events"] == [["web_search", None, True], ["summarize", "sp_1", True]]
    assert seen["traces"] == [[2, 1]]
    assert seen["older traces"] == []
    assert seen["filtered"] == ["summarize"]


@pytest.mark.parametrize("version", EVERY)
def test_it_lists_the_events_of_a_channel_the_newest_first(version: str, seen: dict[str, Any]) -> None:
    assert seen["channel events"] == ["summarize", "web_search"]
    if version in EARLY:
        assert seen["second page"] == ["web_search"]


@pytest.mark.parametrize("version", EVERY)
def test_it_manages_apps_and_channels(version: str, seen: dict[str, Any]) -> None:
    assert seen["apps"] == [[True, "compatibility"]] * 2
    assert seen["renamed app"] == "renamed"
    assert seen["channel"] == ["steps", "later"]
    assert seen["apps left"] == []
    if version in RECENT:
        assert seen["channels"] == ["steps"]
        assert seen["deleted"] == [True, True]


@pytest.mark.parametrize("version", EVERY)
def test_it_manages_webhook_endpoints(version: str, seen: dict[str, Any]) -> None:
    assert seen["webhooks"] == [ENDPOINT]
    assert seen["deliveries"] == []
    assert seen["deactivated"] == [False]
    assert version in EARLY or seen["secret"]


@pytest.mark.parametrize("version", EVERY)
def test_its_async_client_does_the_same(seen: dict[str, Any]) -> None:
    assert seen["async"] == [1, ["step"]]


@pytest.mark.parametrize("version", EVERY)
def test_its_errors_are_those_that_it_knows(seen: dict[str, Any]) -> None:
    assert seen["refusals"] == {
        "validation": "ValidationError",
        "unknown trace": "NotFoundError",
        "unknown app": "NotFoundError",
        "unknown channel": "NotFoundError",
        "bad url": "ValidationError",
        "key": "AuthenticationError",
        "tenant": "ForbiddenError",
    }

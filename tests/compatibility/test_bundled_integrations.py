"""The LangChain handler, the loggers' handlers and the live events that the public package brings along, unmodified."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from kit.client_environment import run_program
from kit.offline_gateway import HEADERS

pytestmark = pytest.mark.services

PROGRAM = Path(__file__).parent / "programs" / "integrations.py"
CHANNEL = "1"
TOOL = ["tool.web_search.start", "tool.end"]
FAILED_TOOL = ["tool.web_search.start", "tool.error"]
MODEL = ["llm.start", "llm.end"]
LOGS = [
    ("ERROR", "card 7 refused", "stdlib-logging"),
    ("WARN", "slow answer", "loguru"),
    ("INFO", "started", "structlog"),
]
# 0.0.1 does not publish the start of a chain that current versions of langchain-core do not serialize, and 0.0.19 no
# run below another: its handler and its own publish() do not fit.
STEPS = {
    "0.0.1": [*TOOL, "chain.end", *MODEL, "chain.end", *FAILED_TOOL],
    "0.0.5": ["chain.start", "chain.start", *TOOL, "chain.end", *MODEL, "chain.end", *FAILED_TOOL],
    "0.0.9": ["chain.start", "chain.start", *TOOL, "chain.end", *MODEL, "chain.end", *FAILED_TOOL],
    "0.0.19": ["chain.start", "chain.end", *FAILED_TOOL],
}


@pytest.mark.parametrize("version", STEPS)
def test_what_the_package_brings_along_works_unmodified(version: str, gateway_url: str) -> None:
    trace_id = f"tr_{token_hex(8)}"
    seen = run_program(version, PROGRAM, gateway_url, trace_id, CHANNEL)
    assert (seen["answer"], seen["failure"]) == ("an answer", "nothing found")
    if version != "0.0.19":  # it has none
        assert seen["live"] == [[["one", {"é": 1}], ["two", {"é": 1}]], [["two", {"é": 1}]]]

    with httpx.Client(base_url=gateway_url, headers=HEADERS, timeout=60) as client:
        events: list[dict[str, Any]] = client.get(f"/traces/{trace_id}/events").json()
        summary = client.get(f"/traces/{trace_id}/summary").json()
    steps = [event for event in events if (event["metadata"] or {}).get("framework") == "langchain"]
    assert [step["identifier"] for step in steps] == STEPS[version]
    assert {step["agentId"] for step in steps} == {"researcher"}
    assert (summary["errorCount"], summary["firstError"]["identifier"]) == (1, "tool.error")
    assert summary["toolCallCount"] == STEPS[version].count("tool.web_search.start")
    logs = [event for event in events if event["eventType"] == "app.log"]
    told = [(e["payload"]["severityText"], e["payload"]["body"], e["metadata"]["framework"]) for e in logs]
    assert told == ([] if version == "0.0.1" else LOGS)
    if logs:
        assert str(logs[0]["payload"]["attributes"]["user"]) == "42"

"""How a run stands: each rule by itself, and what stands before what."""

from __future__ import annotations

import pytest

from axonstream.sinks.shown_schema import SCHEMA
from axonstream.verdict import VIEW_STATUS, Verdict, verdict

NOW, STALL = 1_900_000_000_000, 300_000

RULES = {
    "the last event is an error": (("agent", "ok", 0, 1, NOW), Verdict("failed", "last_event_failed")),
    "a failed root, and the last event is an error": (
        ("agent", "error", 0, 1, NOW),
        Verdict("failed", "last_event_failed"),
    ),
    "the root ended in error": (("agent", "error", 0, 0, NOW), Verdict("failed", "root_failed")),
    "a span that ended in error": (("span", "error", 0, 0, NOW), Verdict("failed", "root_failed")),
    "the root ended": (("agent", "ok", 0, 0, NOW), Verdict("ok", "root_ended")),
    "an error is last, and something is open": (("agent", "open", 1, 1, NOW), Verdict("running", "open_steps")),
    "a failed root, and something is open": (("agent", "error", 2, 0, NOW), Verdict("running", "open_steps")),
    "something is open": (("", "", 1, 0, NOW - STALL), Verdict("running", "open_steps")),
    "nothing has arrived since": (("agent", "open", 1, 0, NOW - STALL - 1), Verdict("stalled", "nothing_arrived")),
    "a tool call is no run": (("tool", "error", 0, 0, NOW), Verdict("ok", "nothing_open")),
    "nothing but messages": (("", "", 0, 0, 0), Verdict("ok", "nothing_open")),
    "a root that was given up": (("agent", "abandoned", 0, 0, NOW), Verdict("ok", "nothing_open")),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_its_verdict(rule: str) -> None:
    given, expected = RULES[rule]
    assert verdict(*given, NOW, STALL) == expected


def test_the_outcome_is_known_when_the_run_has_ended() -> None:
    told = {one.status: one.outcome for _, one in RULES.values()}
    assert told == {"failed": "failure", "ok": "success", "running": None, "stalled": None}


def test_errors_are_recovered_from_when_the_run_is_ok() -> None:
    told = {one.status: one.recovered_errors(3) for _, one in RULES.values()}
    assert told == {"failed": 0, "ok": 3, "running": 0, "stalled": 0}


def test_the_view_has_the_status_of_this_rule() -> None:
    """As ClickHouse prints it: parentheses are its own."""

    def bare(text: str) -> str:
        return "".join(text.split()).replace("(", "").replace(")", "").replace("s.", "")

    assert bare(VIEW_STATUS) in bare(SCHEMA.read_text())

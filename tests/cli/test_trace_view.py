"""The lines of a trace: figures, marks, width, and text of senders that does no harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from axonstream import Event, EventType, FirstError, TraceContext, TraceSummary
from axonstream.cli.terminal_text import cut, harmless, table_lines
from axonstream.cli.time_text import duration_text
from axonstream.cli.trace_tree import build_nodes
from axonstream.cli.trace_view import WIDTH, trace_lines, tree_lines

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(number: int, **fields: Any) -> Event:
    at = NOON + timedelta(milliseconds=100 * number)
    given: dict[str, Any] = {"identifier": f"step_{number}", "payload": {}, "agent_id": "planner", "occurred_at": at}
    return Event(event_id=number, trace_id="tr_1", **{**given, **fields})


def summary(**fields: Any) -> TraceSummary:
    given: dict[str, Any] = {"trace_id": "tr_1", "total_events": 1, "duration_ms": 0}
    given.update({"start_time": NOON, "end_time": NOON})
    given.update(fields)
    return TraceSummary(**given)


def plain(events: list[Event]) -> list[str]:
    return [line.plain for line in tree_lines(build_nodes(events))]


def printed(figures: TraceSummary, events: list[Event], width: int = WIDTH) -> list[str]:
    return [line.plain for line in trace_lines(figures, events, NOON + timedelta(minutes=15), width)]


def test_the_header_says_what_the_summary_says() -> None:
    figures = summary(
        total_events=12,
        tool_call_count=3,
        error_count=1,
        handoff_count=2,
        duration_ms=3573,
        agents=("planner", "writer"),
        first_error=FirstError(event_id=8, step=8),
    )
    assert printed(figures, []) == [
        "trace tr_1  failed at step 8 of 12",
        "12 events · 3 tool calls · 2 handoffs · 1 error · 3,573 ms",
        "agents: planner, writer",
        "",
    ]


def test_a_stale_answer_is_said_to_be_stale() -> None:
    assert any("may be missing" in line for line in printed(summary(stale=True), []))


def test_only_the_first_error_is_marked() -> None:
    lines = plain([event(0), event(1, event_type="agent.error"), event(2, event_type="agent.error")])
    assert [line.startswith(">") for line in lines] == [False, False, True, False]
    assert [line.endswith("<- first error") for line in lines] == [False, False, True, False]


def test_branches_offsets_and_durations_are_drawn() -> None:
    start, end = EventType.AGENT_TOOL_CALL_START, EventType.AGENT_TOOL_CALL_END
    lines = plain(
        [
            event(0, span_id="1"),
            event(1, span_id="2", parent_span_id="1", event_type=start),
            event(4, span_id="3", parent_span_id="2", event_type=end, identifier="step_1"),
            event(5, span_id="4", parent_span_id="1", agent_id="writer"),
        ]
    )
    assert lines == [
        "  step         at  agent    event",
        "     1      +0 ms  planner  step_0  custom",
        "     2    +100 ms  planner  ├─ step_1  tool call",
        "     3    +400 ms  planner  │  └─ step_1  tool done in 300 ms",
        "     4    +500 ms  writer   └─ step_5  custom",
    ]


def test_what_a_sender_wrote_cannot_reach_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\u202egnp\n\x9b2J"
    events = [event(0, identifier=evil, agent_id=evil, payload={evil: evil}, event_type="agent.error")]
    figures = summary(trace_id=evil, agents=(evil,))
    assert all(line.isprintable() for line in printed(figures, events))


def test_no_line_is_wider_than_the_width_whatever_was_sent() -> None:
    wide = "模" * 200
    events = [
        event(at, identifier=wide, agent_id=wide, payload={wide: wide, "error": wide}, event_type="agent.error")
        for at in range(3)
    ]
    lines = plain(events)
    assert max(map(cell_len, lines)) <= WIDTH
    assert lines[1].endswith("<- first error")


@pytest.mark.slow
def test_a_chain_of_ten_thousand_stays_narrow_and_says_its_depth() -> None:
    events = [event(at, span_id=f"s{at}", parent_span_id=f"s{at - 1}") for at in range(10_000)]
    lines = plain(events)
    assert max(map(cell_len, lines)) <= WIDTH
    assert "[depth 9999] step_9999" in lines[-1]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (9_999, "9,999 ms"),
        (12_345, "12.3 s"),
        (450_000, "450.0 s"),
        (600_000, "10.0 min"),
        (93_960_000, "26.1 h"),
    ],
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_harmless_text_is_left_as_it_is() -> None:
    assert harmless("naïve 模型 🙂") == "naïve 模型 🙂"
    assert harmless("a\tb\x1b[31m\u202e\ud800") == "a\\tb\\x1b[31m\\u202e\\ud800"


def test_cut_counts_cells() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("模模模", 4) == "模…"
    assert cut("abc", 3) == "abc"
    assert cut("abc", 0) == ""


def test_a_table_is_aligned_by_cells_and_one_line_a_row() -> None:
    assert table_lines(["name", "n"], [["模型", "1"], ["a\nb", "12"]], [False, True]) == [
        "name   n",
        "----  --",
        "模型   1",
        "a\\nb  12",
    ]


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 160])
def test_no_line_of_a_tree_is_wider_than_the_terminal(width: int) -> None:
    """Lines of 100 cells wrapped on a terminal of 60, so that the tree could not be read."""
    wide = "模" * 200
    kinds = [("agent.start", "market_report"), ("a.type.of.the.sender.with.a.long.name." + "x" * 20, "web_search")] * 8
    events = [
        event(
            at,
            span_id=f"s{at}",
            parent_span_id=f"s{at - 1}",
            agent_id="writer_of_reports",
            event_type=kind,
            identifier=name,
            payload={"query": "AI frameworks 2026", "error": "rate limited by provider"},
        )
        for at, (kind, name) in enumerate([*kinds, ("agent.error", wide), ("agent.tool_call.start", wide)])
    ]
    figures = summary(trace_id="tr_0123456789abcdef", total_events=18, agents=("writer_of_reports",) * 9, error_count=1)
    lines = printed(figures, events, width)
    assert max(map(cell_len, lines)) <= width
    assert sum(line.endswith("<- first error") for line in lines) == 1
    assert width < 60 or all("mar" in line or "web" in line for line in lines[-18:-2])


def test_a_trace_id_is_never_cut() -> None:
    name = "tr_" + "x" * 200
    assert printed(summary(trace_id=name), [], 60)[:2] == [f"trace {name}", "no errors"]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"error": "over 128k tokens"}, "over 128k tokens"),
        ({"error": {"message": "rate limited"}}, "rate limited"),
        ({"exception": {"type": "ValueError", "message": "no such city"}}, "ValueError: no such city"),
        ({"error": {"code": "E42"}}, "E42"),
        ({"error": {"$repr": "KeyError('city')"}}, "KeyError('city')"),
        ({"attempt": 2, "error": {"message": {"deeper": 1}}, "reason": "timeout"}, "timeout"),
        ({"attempt": 2, "error": {}}, "attempt=2"),
    ],
)
def test_the_words_of_an_error_are_found_one_level_down(payload: dict[str, Any], said: str) -> None:
    [_, line] = plain([event(0, event_type="agent.error", payload=payload)])
    assert line.endswith(f"  {said}  <- first error")


CALL, DONE = EventType.AGENT_TOOL_CALL_START, EventType.AGENT_TOOL_CALL_END
RUN: dict[str, Any] = {"event_type": EventType.AGENT_START, "span_id": "r", "identifier": "run"}
RUN_ENDS: dict[str, Any] = {"event_type": EventType.AGENT_END, "span_id": "r", "identifier": "run"}
FETCH: dict[str, Any] = {"event_type": CALL, "span_id": "1", "identifier": "fetch"}
FAILS: dict[str, Any] = {"event_type": EventType.AGENT_ERROR, "span_id": "1", "identifier": "fetch"}
AGAIN: dict[str, Any] = {"event_type": CALL, "span_id": "2", "identifier": "fetch"}
DONE_NOW: dict[str, Any] = {"event_type": DONE, "span_id": "2", "identifier": "fetch"}


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([{}], "no errors"),
        ([RUN, FETCH], "running: fetch open for 15.0 min"),
        ([RUN], "running: run open for 15.0 min"),
        ([RUN, AGAIN, DONE_NOW], "running: run open for 15.0 min"),
        ([AGAIN, DONE_NOW], "no errors"),
        ([RUN, RUN_ENDS], "ended, no errors"),
        ([RUN, FETCH, RUN_ENDS], "ended, no errors"),
        ([RUN, FETCH, FAILS], "failed at step 3 of 3"),
        ([FETCH, FAILS, {}], "failed at step 2 of 3"),
        ([RUN, FETCH, FAILS, RUN_ENDS], "ended with 1 error, first at step 3 of 4"),
        ([RUN, FETCH, FAILS, AGAIN, DONE_NOW, RUN_ENDS], "ended, 1 error recovered (step 3 of 6)"),
        ([RUN, FETCH, FAILS, AGAIN], "running: fetch open for 15.0 min, 1 error, first at step 3 of 4"),
        ([RUN, FETCH, FAILS, AGAIN, DONE_NOW], "running: run open for 15.0 min, 1 error recovered (step 3 of 5)"),
    ],
)
def test_the_header_says_how_the_run_stands_as_far_as_its_events_do(steps: list[dict[str, Any]], state: str) -> None:
    events = [event(at, **{"occurred_at": NOON, **fields}) for at, fields in enumerate(steps)]
    assert printed(summary(), events)[0] == f"trace tr_1  {state}"


def test_two_workers_of_one_agent_in_one_run_keep_their_calls_apart() -> None:
    """`parallel_workers.json`: both counted from 0001, so that the slow call was shown with the end of the fast one."""
    slow, fast = TraceContext("tr_run_42"), TraceContext("tr_run_42")
    calls = {worker: worker.next_span_id() for worker in (slow, fast)}
    steps = [
        (0, slow, CALL, "fetch"),
        (600, fast, CALL, "fetch"),
        (800, fast, EventType.CUSTOM, "note_fast"),
        (1200, fast, DONE, "fetch"),
        (1500, slow, EventType.CUSTOM, "note_slow"),
        (3000, slow, DONE, "fetch"),
    ]
    events: list[Event] = []
    for number, (at, worker, kind, identifier) in enumerate(steps):
        note = kind == EventType.CUSTOM
        span, parent = (worker.next_span_id(), calls[worker]) if note else (calls[worker], None)
        when = NOON + timedelta(milliseconds=at)
        fields: dict[str, Any] = {"identifier": identifier, "event_type": kind, "occurred_at": when}
        events.append(event(number, span_id=span, parent_span_id=parent, **fields))
    assert [line.partition("planner  ")[2] for line in plain(events)[1:]] == [
        "fetch  tool call",
        "├─ note_slow  custom",
        "└─ fetch  tool done in 3,000 ms",
        "fetch  tool call",
        "├─ note_fast  custom",
        "└─ fetch  tool done in 600 ms",
    ]

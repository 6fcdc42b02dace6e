"""Which end belongs to which start, what an error marks, and what a run's steps add up to."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.steps import AGENT, LLM, MOST_OPEN, NO_PRICES, SPAN, TOOL, Priced, Status, Step, StepBook
from kit.step_events import GivenEvent, events, folded

START, END, ERROR = "agent.tool_call.start", "agent.tool_call.end", "agent.error"


def run(*given_events: GivenEvent) -> tuple[StepBook, dict[int, tuple[int, Status, int | None]]]:
    """The book, and of each step its kind, status and duration, by the number of its first event."""
    book, steps = folded(list(given_events))
    return book, {at: (step.kind, step.status, step.duration_ms) for at, step in steps.items()}


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [(START, END, TOOL), ("agent.start", "agent.end", AGENT), ("agent.llm.start", "agent.llm.end", LLM)],
)
def test_an_end_belongs_to_the_start_with_its_span_whatever_their_names_are(start: str, end: str, kind: int) -> None:
    _, steps = run(
        GivenEvent(start, "one", span_id="s", occurred_at=1),
        GivenEvent(start, "two", span_id="t", occurred_at=2),
        GivenEvent(end, "two", span_id="s", occurred_at=9),
    )
    assert steps == {1: (kind, Status.OK, 8), 2: (kind, Status.OPEN, None)}


def test_an_end_belongs_to_the_start_that_its_parent_span_names() -> None:
    _, steps = run(
        GivenEvent(START, "one", span_id="s", occurred_at=1),
        GivenEvent(START, "one", span_id="t", occurred_at=2),
        GivenEvent(END, "one", span_id="x", parent_span_id="s", occurred_at=9),
    )
    assert steps == {1: (TOOL, Status.OK, 8), 2: (TOOL, Status.OPEN, None)}


def test_where_each_event_has_a_span_of_its_own_the_latest_start_of_the_name_is_meant() -> None:
    _, steps = run(
        GivenEvent(START, "search", span_id="sp_1", occurred_at=1),
        GivenEvent(START, "search", span_id="sp_2", occurred_at=2),
        GivenEvent(START, "ask", span_id="sp_3", occurred_at=3),
        GivenEvent(END, "search", span_id="sp_4", occurred_at=5),
        GivenEvent(END, "search", span_id="sp_5", occurred_at=9),
    )
    assert steps == {1: (TOOL, Status.OK, 8), 2: (TOOL, Status.OK, 3), 3: (TOOL, Status.OPEN, None)}


def test_another_agents_call_of_the_same_name_stays_open() -> None:
    _, steps = run(
        GivenEvent(START, agent_id="a", occurred_at=1),
        GivenEvent(START, agent_id="b", occurred_at=2),
        GivenEvent(END, agent_id="a", occurred_at=4),
    )
    assert steps == {1: (TOOL, Status.OK, 3), 2: (TOOL, Status.OPEN, None)}


def test_parallel_calls_of_one_name_are_told_apart_by_their_spans_in_any_order_of_arrival() -> None:
    sent = [
        GivenEvent(START, span_id="s", occurred_at=1),
        GivenEvent(START, span_id="t", occurred_at=2),
        GivenEvent(END, span_id="s", occurred_at=6),
        GivenEvent(END, span_id="t", occurred_at=9),
    ]
    in_order = {("s", 5), ("t", 7)}
    for starts_first in permutations(sent):
        order = [event.event_type for event in starts_first]
        if order[:2] != [START, START] and order[:2] != [END, END]:
            continue  # where spans fit nothing that is there yet, the name decides: see the rule
        _, steps = folded([replace(event) for event in starts_first])
        assert {(step.span_id, step.duration_ms) for step in steps.values()} == in_order


def test_an_end_that_comes_before_its_start_waits_for_it() -> None:
    book, steps = run(GivenEvent(END, occurred_at=9, status="error"))
    assert steps == {1: (TOOL, Status.ERROR, None)}
    assert (len(book.early), book.tool_errors) == (1, 1)
    book, steps = run(GivenEvent(END, occurred_at=9), GivenEvent(START, occurred_at=2))
    assert steps == {1: (TOOL, Status.OK, 7)}
    assert not book.open
    assert not book.early


def test_an_end_before_its_start_by_the_clocks_took_no_time() -> None:
    _, steps = run(GivenEvent(START, occurred_at=9), GivenEvent(END, occurred_at=2))
    assert steps == {1: (TOOL, Status.OK, 0)}


def test_an_error_marks_the_step_of_its_span_whatever_its_own_name_is() -> None:
    _, steps = folded(
        [
            GivenEvent("agent.start", "run", span_id="r"),
            GivenEvent(START, "search", span_id="s"),
            GivenEvent(ERROR, "boom", span_id="s", occurred_at=4, error_type="T", payload=b'{"message":"no"}'),
        ]
    )
    assert steps[1].status is Status.OPEN
    assert (steps[2].status, steps[2].duration_ms) == (Status.ERROR, 4)
    assert (steps[2].error_type, steps[2].error_message, steps[2].error_event_id) == ("T", "no", 3)


def test_an_error_marks_the_step_that_its_parent_span_names() -> None:
    _, steps = run(GivenEvent(START, span_id="s"), GivenEvent(ERROR, "boom", span_id="x", parent_span_id="s"))
    assert steps[1][1] is Status.ERROR


def test_an_end_after_the_error_says_when_the_step_ended_and_may_say_that_it_went_well() -> None:
    _, steps = run(GivenEvent(START), GivenEvent(ERROR, occurred_at=2), GivenEvent(END, occurred_at=5))
    assert steps == {1: (TOOL, Status.ERROR, 5)}
    _, steps = run(GivenEvent(START), GivenEvent(ERROR), GivenEvent(END, occurred_at=5, status="ok"))
    assert steps == {1: (TOOL, Status.OK, 5)}


def test_an_error_after_the_end_of_its_step_does_not_blame_the_run_around_it() -> None:
    _, steps = run(
        GivenEvent("agent.start", "run", span_id="r"),
        GivenEvent(START, span_id="s", parent_span_id="r"),
        GivenEvent(END, span_id="s", parent_span_id="r"),
        GivenEvent(ERROR, span_id="s", parent_span_id="r"),
    )
    assert steps[1][1] is Status.OPEN


def test_a_start_or_an_end_that_is_sent_twice_counts_once() -> None:
    book, steps = run(
        GivenEvent(START, span_id="s"),
        GivenEvent(START, span_id="s", occurred_at=3),
        GivenEvent(START, span_id="t", occurred_at=4),
        GivenEvent(END, span_id="s", occurred_at=5),
        GivenEvent(END, span_id="s", occurred_at=6),
    )
    assert steps == {1: (TOOL, Status.OK, 5), 3: (TOOL, Status.OPEN, None)}
    assert not book.early


def test_one_event_with_a_duration_is_a_whole_step() -> None:
    book, steps = run(GivenEvent("app.span", "render", occurred_at=9, duration_ms=4, status="error"))
    assert steps == {1: (SPAN, Status.ERROR, 4)}
    assert not book.open


def test_parents_are_the_open_steps_with_the_parents_span_or_the_open_run_of_the_agent() -> None:
    _, steps = folded(
        [
            GivenEvent("agent.start", "run", span_id="r"),
            GivenEvent(START, "search", span_id="s", parent_span_id="r"),
            GivenEvent("agent.llm.start", "ask", span_id="l", parent_span_id="s"),
            GivenEvent(START, "other"),
            GivenEvent(START, "lost", parent_span_id="nowhere"),
        ]
    )
    assert {at: (step.parent, step.depth) for at, step in steps.items()} == {
        1: (-1, 0), 2: (1, 1), 3: (2, 2), 4: (1, 1), 5: (-1, 0)
    }  # fmt: skip


def test_attempts_count_the_calls_of_one_kind_agent_and_name() -> None:
    _, steps = folded([GivenEvent(START, name) for name in ("search", "search", "ask", "search")])
    assert [steps[at].attempt for at in range(1, 5)] == [1, 2, 1, 3]


def llm(span: str, parent: str = "", tokens: int | None = 10, **more: object) -> list[GivenEvent]:
    given_events = [
        GivenEvent("agent.llm.start", "ask", span_id=span, parent_span_id=parent),
        GivenEvent("agent.llm.end", "ask", span_id=span, parent_span_id=parent, input_tokens=tokens, occurred_at=3),
    ]
    return [replace(event, **more) for event in given_events]  # pyright: ignore[reportArgumentType]


def test_tokens_and_cost_count_from_leaf_llm_calls_alone() -> None:
    outer, inner = llm("o", cost_usd=Decimal("0.5")), llm("i", "o", cost_usd=Decimal("0.25"))
    agent = [
        GivenEvent("agent.start", "run", span_id="r"),
        GivenEvent("agent.end", "run", span_id="r", input_tokens=99, cost_usd=Decimal(9)),
    ]
    for order in ([agent[0], outer[0], *inner, outer[1], agent[1]], [*inner, *outer, *agent]):
        book, steps = folded([replace(event) for event in order])
        assert (book.llm_calls, book.tokens[0], book.cost, book.unpriced_calls) == (1, 10, 250_000_000_000, 0)
        [run_step] = [step for step in steps.values() if step.kind == AGENT]
        assert run_step.usage is not None
        assert run_step.usage.input_tokens == 99, "what it says is shown"


class TenthOfACent:
    """A price for m-1 alone."""

    def cost(
        self,
        model: str,
        at_ms: int,
        input_tokens: int | None,
        output_tokens: int | None,
        cached_input_tokens: int | None,
        reasoning_tokens: int | None,
    ) -> Priced | None:
        return _Priced(1_000_000_000 * (input_tokens or 0), "price") if model == "m-1" else None


class _Priced:
    def __init__(self, picodollars: int, price: str) -> None:
        self.picodollars, self.price = picodollars, price


def test_a_call_without_a_cost_is_priced_and_one_without_a_price_is_counted_as_that() -> None:
    given_events = [*llm("s", model="m-1"), *llm("t", model="m-2"), *llm("u", tokens=None, model="m-1")]
    book, steps = folded(given_events, TenthOfACent())
    assert (book.llm_calls, book.cost, book.priced_calls, book.unpriced_calls) == (3, 10_000_000_000, 1, 1)
    usages = [steps[at].usage for at in (1, 3)]
    assert [(usage.cost, usage.price) for usage in usages if usage] == [(10_000_000_000, "price"), (None, "")]
    assert book.models == ["m-1", "m-2"]


def test_what_is_left_open_when_the_run_ends_is_abandoned_until_its_end_comes() -> None:
    sent = [
        GivenEvent("agent.start", "run", span_id="r"),
        GivenEvent(START, span_id="s", occurred_at=1),
        GivenEvent("agent.end", "run", span_id="r", occurred_at=5),
    ]
    book, steps = run(*sent)
    assert steps == {1: (AGENT, Status.OK, 5), 2: (TOOL, Status.ABANDONED, None)}
    assert book.open_steps() == []
    assert run(*sent, GivenEvent(END, span_id="s", occurred_at=6))[1][2] == (TOOL, Status.OK, 5)


def test_work_of_another_agent_that_runs_goes_on_when_the_first_one_ends() -> None:
    book, _ = run(
        GivenEvent("agent.start", "plan", agent_id="a"),
        GivenEvent("agent.start", "write", agent_id="b", occurred_at=1),
        GivenEvent(START, agent_id="b", occurred_at=2),
        GivenEvent("agent.end", "plan", agent_id="a", occurred_at=3),
    )
    assert [(step.kind, step.agent_id) for step in book.open_steps()] == [(AGENT, "b"), (TOOL, "b")]


def test_the_root_is_the_earliest_step_without_a_parent() -> None:
    book, _ = run(
        GivenEvent(START, "late", occurred_at=5),
        GivenEvent("agent.start", "inner", parent_span_id="x", occurred_at=1),
        GivenEvent("agent.start", "outer", span_id="x", occurred_at=2),
    )
    assert book.root is not None
    assert (book.root.name, book.root.status) == ("outer", Status.OPEN)


def test_beyond_the_bound_of_open_steps_nothing_is_remembered_and_that_is_said() -> None:
    book, steps = folded([GivenEvent(START, span_id=f"s{at}") for at in range(10_000)])
    assert len(book.open) == len(steps) == MOST_OPEN
    assert not book.exact
    assert len(folded([GivenEvent(END, f"n{at}") for at in range(300)])[0].early) == MOST_OPEN


def test_an_llm_call_whose_end_names_its_start_as_parent_does_not_wrap_itself() -> None:
    start = GivenEvent("agent.llm.start", "ask", span_id="s")
    end = GivenEvent("agent.llm.end", "ask", span_id="e", parent_span_id="s", input_tokens=100, cost_usd=Decimal(1))
    for order in ([start, end], [end, start]):
        book, _ = folded([replace(event) for event in order])
        assert (book.llm_calls, book.tokens[0], book.cost) == (1, 100, 10**12)


def test_an_end_that_comes_twice_ends_no_run_around_it() -> None:
    book, steps = run(
        GivenEvent("agent.start", "main", span_id="S1"),
        GivenEvent("agent.start", "sub", span_id="S2", parent_span_id="S1"),
        GivenEvent("agent.end", "sub", span_id="S2", parent_span_id="S1", status="error", occurred_at=4),
        GivenEvent("agent.end", "sub", span_id="S2", parent_span_id="S1", status="error", occurred_at=5),
        GivenEvent("agent.end", "main", span_id="S1", occurred_at=9),
    )
    assert [status for _, status, _ in steps.values()] == [Status.OK, Status.ERROR]
    early = GivenEvent("agent.llm.end", "ask", span_id="s", input_tokens=100)
    book, _ = run(replace(early), replace(early), GivenEvent("agent.llm.start", "ask", span_id="s"))
    assert (book.llm_calls, book.tokens[0], book.early) == (1, 100, [])


def test_an_end_without_a_start_does_not_shift_the_calls_after_it() -> None:
    sent = [GivenEvent(END, occurred_at=0)]
    for began in (100_000, 200_000, 300_000):
        sent += [GivenEvent(START, occurred_at=began), GivenEvent(END, occurred_at=began + 10)]
    _, steps = run(*sent)
    assert [took for _, _, took in steps.values()] == [None, 10, 10, 10]


def test_calls_of_one_name_that_are_mixed_up_all_end() -> None:
    book, steps = run(
        GivenEvent(START, span_id="Y"), GivenEvent(END, span_id="X"),
        GivenEvent(START, span_id="X"), GivenEvent(END, span_id="Y"),
    )  # fmt: skip
    assert [status for _, status, _ in steps.values()] == [Status.OK, Status.OK]
    assert not book.open


def test_what_the_end_says_of_tokens_and_cost_stands_in_either_order() -> None:
    start = GivenEvent("agent.llm.start", "ask", span_id="s", model="m-1", input_tokens=100, cost_usd=Decimal(1))
    end = GivenEvent("agent.llm.end", "ask", span_id="s", input_tokens=150, cost_usd=Decimal(2))
    for order in ([start, end], [end, start]):
        book, _ = folded([replace(event) for event in order])
        assert (book.tokens[0], book.cost) == (150, 2 * 10**12)
    unpriced = [replace(start, cost_usd=None), replace(end, input_tokens=None, output_tokens=1, cost_usd=None)]
    for order in (unpriced, unpriced[::-1]):
        book, _ = folded([replace(event, model="m-1") for event in order], TenthOfACent())
        assert (book.tokens[0], book.cost, book.priced_calls) == (100, 100_000_000_000, 1)


def test_an_llm_call_that_an_error_ends_has_cost_what_it_cost() -> None:
    book, steps = folded([*llm("s", input_tokens=5, cost_usd=Decimal(1))[:1], GivenEvent(ERROR, span_id="s")])
    assert (book.tokens[0], book.cost, steps[1].status) == (5, 10**12, Status.ERROR)


def test_cached_tokens_alone_are_tokens() -> None:
    book, _ = folded(llm("s", tokens=None, cached_input_tokens=7))
    assert (book.calls_with_tokens, book.unpriced_calls) == (1, 1)


def test_a_run_of_an_agent_is_the_root_and_not_what_was_loaded_before_it() -> None:
    book, _ = run(
        GivenEvent("app.span", "load", occurred_at=5, duration_ms=5),
        GivenEvent(START, occurred_at=9),
        GivenEvent("agent.start", "main", occurred_at=10),
        GivenEvent("agent.end", "main", occurred_at=20, status="error"),
    )
    assert book.root is not None
    assert (book.root.name, book.root.status) == ("main", Status.ERROR)


def test_what_is_inside_a_run_that_was_given_up_is_given_up_with_it() -> None:
    _, steps = run(
        GivenEvent("agent.start", "main", span_id="R"),
        GivenEvent("agent.start", "sub", agent_id="b", span_id="B", parent_span_id="R"),
        GivenEvent(START, agent_id="b", span_id="t", parent_span_id="B"),
        GivenEvent("agent.end", "main", span_id="R", occurred_at=5),
    )
    assert [status for _, status, _ in steps.values()] == [Status.OK, Status.ABANDONED, Status.ABANDONED]


def test_an_error_of_a_step_that_has_ended_blames_nothing_whoever_reports_it() -> None:
    _, steps = run(
        GivenEvent("agent.start", "main", agent_id="m", span_id="R"),
        GivenEvent(START, span_id="S", parent_span_id="R"),
        GivenEvent(END, span_id="S", parent_span_id="R"),
        GivenEvent(ERROR, agent_id="", span_id="S", parent_span_id="R"),
        GivenEvent("agent.end", "main", agent_id="m", span_id="R", occurred_at=9),
    )
    assert [status for _, status, _ in steps.values()] == [Status.OK, Status.OK]


@given(given_events=st.lists(events(), max_size=12))
def test_the_sums_are_those_of_the_steps(given_events: list[GivenEvent]) -> None:
    book, steps = folded(given_events)
    calls = [step for step in steps.values() if step.kind == LLM and not step.wraps]
    used = [step.usage for step in calls if step.usage is not None and step.end_at >= 0]
    assert book.llm_calls == len(calls)
    assert book.tokens[0] == sum(usage.input_tokens or 0 for usage in used)
    assert book.cost == sum(usage.cost or 0 for usage in used)
    assert book.priced_calls == sum(usage.cost is not None for usage in used)
    assert book.tool_errors == sum(s.kind == TOOL and s.status is Status.ERROR for s in steps.values())
    assert {step.offset for step in book.open} | {step.offset for step in book.early} <= set(steps)
    assert {at for at, step in steps.items() if not step.has_ended} == {step.offset for step in book.open}


@given(given_events=st.lists(events(), max_size=12))
def test_no_step_is_left_without_its_last_word(given_events: list[GivenEvent]) -> None:
    """Whatever changes of a step, it is among those that changed: its row would stay as it was."""
    book, said = StepBook(), dict[int, Step]()
    for offset, event in enumerate(given_events, 1):
        event.event_id = offset
        for step in book.fold(event, offset, NO_PRICES):
            said[step.offset] = _word(step)
        for step in (*book.open, *book.early):
            assert said[step.offset] == _word(step)


def _word(step: Step) -> Step:
    return replace(step, usage=None if step.usage is None else replace(step.usage))

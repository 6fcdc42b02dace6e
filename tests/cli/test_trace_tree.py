"""The tree of a trace: parents that are missing, repeated, circular, and chains of any depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.cli.trace_tree import Node, build_nodes, build_tree, walk


@dataclass(frozen=True)
class Traced:
    event_id: int
    span_id: str | None = None
    parent_span_id: str | None = None
    parent_event_id: int | str | None = None
    agent_id: str | None = "a"
    event_type: str = "custom"
    identifier: str = "x"


def parents(events: Sequence[Traced]) -> list[int | None]:
    """The step of each event's parent, by step."""
    found: dict[int, int | None] = {}
    for place in walk(build_tree(events)):
        found[place.node.step] = place.node.parent.step if place.node.parent else None
    return [found[step] for step in range(1, len(events) + 1)]


def test_no_events_make_no_tree() -> None:
    assert build_tree([]) == []


def test_an_event_without_a_parent_is_a_root_and_steps_count_in_order_of_time() -> None:
    roots = build_tree([Traced(30), Traced(10), Traced(20)])
    assert [(root.step, root.event.event_id) for root in roots] == [(1, 30), (2, 10), (3, 20)]


def test_parent_spans_and_parent_events_are_followed() -> None:
    events = [
        Traced(1, "s1"),
        Traced(2, "s2", parent_span_id="s1"),
        Traced(3, "s3", parent_event_id=2),
        Traced(4, "s4", parent_event_id="2"),
    ]
    assert parents(events) == [None, 1, 2, 2]


def test_the_parent_event_wins_over_the_parent_span() -> None:
    events = [Traced(1, "s1"), Traced(2, "s2"), Traced(3, parent_span_id="s1", parent_event_id=2)]
    assert parents(events) == [None, None, 2]


def test_a_parent_event_of_another_trace_falls_back_to_the_parent_span() -> None:
    assert parents([Traced(1, "s1"), Traced(2, parent_span_id="s1", parent_event_id="elsewhere")]) == [None, 1]


def test_a_missing_parent_makes_a_root() -> None:
    assert parents([Traced(1, parent_span_id="gone"), Traced(2, parent_event_id=99)]) == [None, None]


def test_span_ids_that_repeat_between_agents_are_looked_up_in_the_same_agent_first() -> None:
    events = [
        Traced(1, "0001", agent_id="planner"),
        Traced(2, "0001", agent_id="writer"),
        Traced(3, "0002", parent_span_id="0001", agent_id="planner"),
        Traced(4, "0002", parent_span_id="0001", agent_id="writer"),
    ]
    assert parents(events) == [None, None, 1, 2]


def test_without_such_a_span_in_the_same_agent_the_nearest_earlier_one_of_any_agent_is_the_parent() -> None:
    events = [
        Traced(1, "0001", agent_id="planner"),
        Traced(2, "0001", agent_id="writer"),
        Traced(3, "0009", parent_span_id="0001", agent_id="critic"),
        Traced(4, "0001", agent_id="late"),
    ]
    assert parents(events) == [None, None, 2, None]


def test_a_span_that_repeats_within_an_agent_means_the_nearest_earlier_event() -> None:
    events = [Traced(1, "s"), Traced(2, "s"), Traced(3, parent_span_id="s"), Traced(4, "s")]
    assert parents(events) == [None, None, 2, None]


def test_a_parent_whose_clock_is_ahead_is_found_later() -> None:
    assert parents([Traced(1, parent_span_id="s"), Traced(2, "s")]) == [2, None]


def test_a_start_is_the_parent_rather_than_the_end_of_the_same_span() -> None:
    events = [
        Traced(1, "s", event_type="agent.start"),
        Traced(2, "s", event_type="agent.end"),
        Traced(3, parent_span_id="s"),
    ]
    assert parents(events) == [None, 1, 1]


def test_an_end_that_shares_the_span_of_its_start_stands_below_it_only_within_its_agent() -> None:
    events = [
        Traced(1, "s", event_type="agent.tool_call.start"),
        Traced(2, "s", event_type="agent.tool_call.end", agent_id="b"),
        Traced(3, "s", event_type="agent.tool_call.end"),
    ]
    assert parents(events) == [None, None, 1]


def test_an_event_that_names_itself_is_a_root() -> None:
    assert parents([Traced(1, parent_event_id=1), Traced(2, "s", parent_span_id="s")]) == [None, None]


def test_of_a_cycle_the_earliest_event_becomes_a_root() -> None:
    events = [
        Traced(1, parent_event_id=5),
        Traced(2, parent_event_id=4),
        Traced(3, parent_event_id=2),
        Traced(4, parent_event_id=3),
    ]
    assert parents(events) == [None, None, 2, 3]


@pytest.mark.slow
def test_a_chain_of_ten_thousand_is_no_recursion() -> None:
    events = [Traced(at, f"s{at}", parent_span_id=f"s{at - 1}") for at in range(10_000)]
    assert [place.depth for place in walk(build_tree(events))] == list(range(10_000))


@pytest.mark.slow
def test_a_hundred_thousand_events_of_one_span_are_built() -> None:
    roots = build_tree([Traced(at, "s", parent_span_id="s") for at in range(100_000)])
    assert sum(1 for _ in walk(roots)) == 100_000


def test_the_last_child_is_told_from_the_others() -> None:
    events = [Traced(1, "r"), Traced(2, parent_span_id="r"), Traced(3, parent_span_id="r")]
    assert [place.is_last for place in walk(build_tree(events))] == [True, False, True]


names = st.sampled_from(["", "x", "y", "z"])
traced = st.builds(
    Traced,
    event_id=st.integers(1, 8),
    span_id=names,
    parent_span_id=names,
    parent_event_id=st.one_of(st.none(), st.integers(1, 8)),
    agent_id=names,
    event_type=st.sampled_from(["custom", "agent.start", "agent.end", "agent.tool_call.start", "agent.tool_call.end"]),
    identifier=st.sampled_from(["a", "b"]),
)


@given(st.lists(traced, max_size=12))
def test_whatever_the_ids_every_event_is_in_the_tree_once_and_below_its_parent(events: list[Traced]) -> None:
    nodes: list[Node[Traced]] = [place.node for place in walk(build_tree(events))]
    assert sorted(node.step for node in nodes) == list(range(1, len(events) + 1))
    seen: set[int] = set()
    for node in nodes:
        assert node.event == events[node.step - 1]
        assert node.parent is None or node.parent.step in seen
        seen.add(node.step)


CALL, DONE = "agent.tool_call.start", "agent.tool_call.end"


def starts(events: Sequence[Traced]) -> list[int | None]:
    """The step of the start that each event ends, by step."""
    return [node.start.step if node.start else None for node in build_nodes(events)]


def test_an_end_ends_the_start_of_its_own_span_whatever_stands_above_it() -> None:
    """OTel-minded senders name the run's span as the parent of both: 300 ms calls were shown as 29.3 s."""
    events = [
        Traced(1, "run", event_type="agent.start"),
        Traced(2, "call", parent_span_id="run", event_type=CALL),
        Traced(3, "call", parent_span_id="run", event_type=DONE),
    ]
    assert starts(events) == [None, None, 2]
    assert parents(events) == [None, 1, 2]


def test_an_end_without_a_start_of_its_kind_ends_nothing() -> None:
    run = Traced(1, "run", event_type="agent.start")
    lost = Traced(2, "call", parent_span_id="run", event_type=DONE)
    nested = Traced(2, "inner", parent_span_id="run", event_type="agent.end", identifier="another run")
    of_another_agent = Traced(2, "run", event_type="agent.end", agent_id="b")
    assert starts([run, lost]) == starts([run, nested]) == starts([run, of_another_agent]) == [None, None]
    assert starts([Traced(1, "s", event_type=DONE), Traced(2, "s", event_type=CALL)]) == [None, None]
    assert starts([Traced(1, event_type=CALL), Traced(2, "s", event_type=DONE)]) == [None, None]


def test_an_end_with_a_span_of_its_own_ends_the_start_that_it_names_as_parent() -> None:
    call = Traced(1, "1", event_type=CALL)
    assert starts([call, Traced(2, "2", parent_span_id="1", event_type=DONE)]) == [None, 1]
    assert starts([call, Traced(2, "2", parent_event_id="1", event_type=DONE)]) == [None, 1]
    assert starts([call, Traced(2, "2", parent_span_id="1", event_type=DONE, identifier="y")]) == [None, None]


def test_without_spans_an_end_ends_the_last_start_of_its_identifier() -> None:
    events = [
        Traced(1, event_type=CALL),
        Traced(2, event_type=CALL),
        Traced(3, event_type=CALL, identifier="y"),
        Traced(4, event_type=DONE),
    ]
    assert starts(events) == [None, None, None, 2]
    assert parents(events) == [None, None, None, 2]


def test_of_a_tool_that_calls_itself_each_end_ends_its_own_call() -> None:
    events = [
        Traced(1, "outer", event_type=CALL),
        Traced(2, "inner", parent_span_id="outer", event_type=CALL),
        Traced(3, "inner", parent_span_id="outer", event_type=DONE),
        Traced(4, "outer", event_type=DONE),
    ]
    assert starts(events) == [None, None, 2, 1]
    assert [node.ended for node in build_nodes(events)] == [True, True, False, False]

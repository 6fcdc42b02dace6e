"""What a state holds of a trace's steps comes back as it was, and stays small."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from axonstream.steps import NO_PRICES, TEXTS, StepBook
from axonstream.stream_processors.packed_steps import NO_STEPS, pack_book, unpack_book
from kit.step_events import GivenEvent, events, folded


def remembered(book: StepBook) -> StepBook:
    """Without what is only of the moment."""
    nothing = ("",) * len(TEXTS)
    return replace(
        book,
        open=[replace(step, version=-1, shown=nothing) for step in book.open],
        early=[replace(step, version=-1, shown=nothing) for step in book.early],
    )


@given(given_events=st.lists(events(), max_size=12), most=st.sampled_from([1, 256]))
def test_a_book_comes_back_as_it_was(given_events: list[GivenEvent], most: int) -> None:
    book, _ = folded(given_events, most=most)
    packed = pack_book(book)
    assert unpack_book(packed) == remembered(book)
    assert pack_book(unpack_book(packed)) == packed


@given(given_events=st.lists(events(), max_size=12), at=st.integers(0, 12))
def test_a_restart_in_between_changes_no_step(given_events: list[GivenEvent], at: int) -> None:
    _, whole = folded([replace(event) for event in given_events])
    before, after = given_events[:at], given_events[at:]
    book, steps = folded(before)
    book = unpack_book(pack_book(book))
    for offset, event in enumerate(after, len(before) + 1):
        event.event_id = offset
        steps |= {step.offset: step for step in book.fold(event, offset, NO_PRICES)}
    assert steps == whole


def test_a_trace_without_steps_takes_no_bytes() -> None:
    assert pack_book(folded([GivenEvent("custom"), GivenEvent("agent.handoff")])[0]) == NO_STEPS

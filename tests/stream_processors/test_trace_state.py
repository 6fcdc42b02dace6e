"""A state survives its way through the changelog unchanged."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from axonstream.stream_processors.name_list import NO_NAMES, with_name
from axonstream.stream_processors.packed_steps import pack_book
from axonstream.stream_processors.remembered_ids import CAPACITY, PAGE_BYTES, RememberedIds
from axonstream.stream_processors.trace_state import (
    FORMAT,
    FORMAT_AT,
    LIST_CAP,
    FirstError,
    TraceState,
    changelog_records,
    format_error,
    is_page_key,
    pack_state,
    unpack_state,
)
from axonstream.summary_counters import COUNTERS
from kit.step_events import events, folded

COUNTS = st.integers(0, (1 << 63) - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


def name_list(names: list[str]) -> bytes:
    packed = NO_NAMES
    for name in names:
        packed = with_name(packed, name, LIST_CAP) or packed
    return packed


NAME_LISTS = st.lists(NAMES.filter(bool), max_size=5).map(name_list)


@given(
    state=st.builds(
        TraceState,
        **dict.fromkeys(
            (
                "first_offset",
                "last_offset",
                "first_at",
                "last_at",
                "last_received_at",
                "event_count",
            ),
            COUNTS,
        ),
        counts=st.lists(COUNTS, min_size=len(COUNTERS), max_size=len(COUNTERS)),
        exact=st.booleans(),
        first_error=st.none() | st.builds(FirstError, COUNTS, COUNTS, COUNTS, NAMES, NAMES, NAMES, NAMES, COUNTS),
        agents=NAME_LISTS,
        event_types=NAME_LISTS,
        last_failed=st.booleans(),
        book=st.lists(events(), max_size=5).map(lambda given_events: pack_book(folded(given_events)[0])),
        ids=st.none(),
    ),
    ids=st.lists(COUNTS, unique=True, max_size=300),
)
def test_what_the_changelog_gives_back_is_what_was_put_in(state: TraceState, ids: list[int]) -> None:
    state.ids = RememberedIds()
    for event_id in ids:
        assert state.ids.add(event_id)
    *pages, (key, value) = changelog_records(b"1\x00t", state)
    assert all(is_page_key(page_key) for page_key, _ in pages)
    assert not is_page_key(key)
    again = unpack_state(key, value, dict(pages))
    assert replace(again, ids=state.ids) == state
    assert pack_state(again) == value
    assert [again.ids.add(event_id) for event_id in ids] == [False] * len(ids)


def test_a_page_goes_out_once_and_the_tail_stays_short() -> None:
    state = TraceState(0, 0, 0, 0, 0)
    written = 0
    for event_id in range(1000):
        state.ids.add(event_id)
        written += len(changelog_records(b"1\x00t", state)) - 1
        assert len(state.ids.tail) < PAGE_BYTES
    assert written == 1000 * 8 // PAGE_BYTES


def test_a_state_whose_page_is_missing_is_inexact() -> None:
    state = TraceState(0, 0, 0, 0, 0)
    for event_id in range(200):
        state.ids.add(event_id)
    _, (key, value) = changelog_records(b"1\x00t", state)
    assert not unpack_state(key, value, {}).exact


def test_another_format_is_refused() -> None:
    packed = pack_state(TraceState(0, 0, 0, 0, 0))
    assert format_error(packed) is None
    for other in (b"", b"[41,1,12,0,0]", packed[:FORMAT_AT] + bytes([FORMAT + 1]) + packed[FORMAT_AT + 1 :]):
        assert "another format" in str(format_error(other))


@given(ids=st.lists(st.integers(0, 300) | COUNTS, max_size=400))
def test_below_the_capacity_every_repeat_is_recognised(ids: list[int]) -> None:
    remembered, seen = RememberedIds(), set[int]()
    for event_id in ids:
        assert remembered.add(event_id) is (event_id not in seen)
        seen.add(event_id)
    assert remembered.complete


def test_beyond_the_capacity_a_recent_repeat_is_still_recognised() -> None:
    remembered = RememberedIds()
    for event_id in range(CAPACITY + 1000):
        remembered.add(event_id)
        assert not remembered.add(event_id)
    assert not remembered.complete

"""Gaps of offsets: cut, counted, and what is left of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axonstream.sinks.events.mending import _within
from axonstream.sinks.offsets import gaps
from axonstream.sinks.offsets.gaps import OFFSETS_OF_A_RANGE, Gap, ranges_of, split_at, whole, without
from kit.sample_events import Record

OFFSETS = st.sets(st.integers(0, 60))


def runs_of(offsets: set[int]) -> list[Gap]:
    """The offsets as gaps, none beside another."""
    found: list[Gap] = []
    for offset in sorted(offsets):
        if found and found[-1].last == offset - 1:
            found[-1] = Gap(found[-1].first, offset)
        else:
            found.append(Gap(offset, offset))
    return found


def offsets_of(some: list[Gap]) -> list[int]:
    return [offset for gap in some for offset in range(gap.first, gap.last + 1)]


@given(OFFSETS, st.integers(-1, 61))
def test_what_is_below_and_beyond_an_offset_is_all_there_is(offsets: set[int], reached: int) -> None:
    below, beyond = split_at(runs_of(offsets), reached)
    assert offsets_of(below) == sorted(offset for offset in offsets if offset < reached)
    assert offsets_of(beyond) == sorted(offset for offset in offsets if offset >= reached)


@given(OFFSETS, OFFSETS)
def test_what_was_taken_out_is_not_left(offsets: set[int], taken: set[int]) -> None:
    left = without(runs_of(offsets), sorted(offsets & taken))
    assert offsets_of(left) == sorted(offsets - taken)
    assert all(gap.first <= gap.last for gap in left)


@given(OFFSETS, OFFSETS)
def test_records_outside_of_gaps_are_dropped(offsets: set[int], present: set[int]) -> None:
    found = _within([Record("agent-events", 0, offset, None, None) for offset in sorted(present)], runs_of(offsets))
    assert [record.offset for record in found] == sorted(offsets & present)


@given(st.integers(0, 5 * OFFSETS_OF_A_RANGE), st.integers(0, 5 * OFFSETS_OF_A_RANGE))
def test_ranges_are_cut_where_the_counts_are(start: int, end: int) -> None:
    parts = list(ranges_of(start, end))
    assert sum(part.last - part.first + 1 for part in parts) == max(0, end - start)
    assert all(part.first // OFFSETS_OF_A_RANGE == part.last // OFFSETS_OF_A_RANGE for part in parts)


@given(st.integers(0, 3 * gaps.OFFSETS_OF_A_RANGE), st.integers(1, 50))
def test_a_full_range_has_the_count_and_sum_of_its_places(start: int, length: int) -> None:
    part = next(iter(ranges_of(start, start + length)))
    places = [offset % OFFSETS_OF_A_RANGE for offset in range(part.first, part.last + 1)]
    assert whole(part) == (len(places), sum(places))

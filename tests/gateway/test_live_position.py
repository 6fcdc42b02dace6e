"""Positions: exact round trips, and nothing that is no position of this log passes for one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.event_contract import MAX_ID
from gateway.live.position import (
    Kind,
    PositionError,
    Vector,
    beyond,
    mark_of,
    read_position,
    trace_position,
    vector_position,
)

MARK = mark_of("cluster", "topic")
OFFSETS = st.lists(st.integers(0, MAX_ID), min_size=1, max_size=40)


@given(OFFSETS)
def test_a_vector_says_the_offset_of_every_partition(offsets: list[int]) -> None:
    text = vector_position(MARK, offsets).decode()
    assert text.isprintable()
    assert read_position(text, MARK) == (Kind.VECTOR, dict(enumerate(offsets)))


@given(st.integers(0, 9999), st.integers(0, MAX_ID))
def test_a_traces_position_says_its_partition_and_offset(partition: int, offset: int) -> None:
    text = trace_position(MARK, partition, offset).decode()
    assert read_position(text, MARK) == (Kind.TRACE, {partition: offset})


@given(OFFSETS, st.data())
def test_a_vector_that_was_moved_on_is_the_vector_of_the_new_offsets(offsets: list[int], data: st.DataObject) -> None:
    vector = Vector(MARK, offsets)
    for partition in data.draw(st.lists(st.integers(0, len(offsets) - 1), max_size=5)):
        offsets[partition] = data.draw(st.integers(0, MAX_ID))
        vector.advance(partition, offsets[partition])
    assert vector.text() == vector_position(MARK, offsets)


@given(OFFSETS, st.data())
def test_a_position_that_was_cut_short_is_refused(offsets: list[int], data: st.DataObject) -> None:
    text = vector_position(MARK, offsets).decode()
    cut = text[: data.draw(st.integers(0, len(text) - 2))]
    with pytest.raises(PositionError):
        read_position(cut, MARK)


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    with suppress(PositionError):
        read_position(text, MARK)


def test_a_position_of_another_log_is_refused_as_such() -> None:
    with pytest.raises(PositionError, match="another Kafka cluster"):
        read_position(vector_position(mark_of("cluster", "made anew"), [1]).decode(), MARK)


def test_a_position_beyond_an_end_is_found() -> None:
    assert beyond({0: 5, 1: 5}, {0: 5, 1: 5}) is None
    assert beyond({0: 5, 1: 6}, {0: 5, 1: 5}) == 1
    assert beyond({2: 1}, {0: 5}) == 2
    assert beyond({0: 5, 2: 0}, {0: 5}) == 2

"""A commit names the record it was made after, and any metadata can be read."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.kafka.record_identity import (
    CommitNote,
    RecordMark,
    Standing,
    decode_note,
    leader_epochs,
    mark_of,
    stands,
)


class _Record(NamedTuple):
    offset: int = 7
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"trace"
    value: bytes | None = b"{}"


MARKS = st.none() | st.builds(
    RecordMark, st.integers(0, 2**63), st.text("0123456789abcdef", max_size=16), st.integers(-1)
)


@given(
    MARKS,
    st.none() | st.integers(0, 2**63),
    st.uuids().map(str) | st.just(""),
    MARKS,
)
def test_a_note_reads_as_it_was_written(
    last: RecordMark | None,
    folded: int | None,
    clickhouse: str,
    folded_at: RecordMark | None,
) -> None:
    note = CommitNote(last, folded, clickhouse, folded_at)
    assert decode_note(note.encode()) == note


@given(st.text())
def test_no_metadata_is_too_odd_to_read(metadata: str) -> None:
    decode_note(metadata)


@pytest.mark.parametrize(
    ("metadata", "folded"),
    [
        ("", None),
        (None, None),
        ("0", 0),
        ("123", 123),
        ('{"v":2,"folded":5}', None),
        ('{"v":1,"folded":5,"more":[1]}', 5),
        ('{"v":1,"at":7}', None),
        ("[]", None),
    ],
)
def test_older_and_newer_metadata_say_what_is_understood_of_them(metadata: str | None, folded: int | None) -> None:
    assert decode_note(metadata) == CommitNote(folded=folded)


@pytest.mark.parametrize(
    "other",
    [
        _Record(offset=8),
        _Record(timestamp=1_700_000_000_001),
        _Record(key=b"other"),
        _Record(key=None),
        _Record(value=b"[]"),
        _Record(key=b"trace{", value=b"}"),
    ],
)
def test_another_record_does_not_stand_for_the_one_that_was_committed(other: _Record) -> None:
    assert stands(mark_of(_Record()), _Record())
    assert not stands(mark_of(_Record()), other)
    assert not stands(mark_of(_Record()), None)


def test_only_a_log_that_differs_has_lost_its_end() -> None:
    assert {standing for standing in Standing if standing.lost_its_end} == {Standing.OTHER, Standing.SHORT}


def test_the_leader_epoch_of_each_batch_is_read_from_its_head() -> None:
    def batch(base: int, epoch: int, size: int) -> bytes:
        body = epoch.to_bytes(4, "big", signed=True) + b"\x02" + bytes(size)
        return base.to_bytes(8, "big") + len(body).to_bytes(4, "big") + body

    whole = batch(5, 3, 60) + batch(9, 4, 80)
    assert list(leader_epochs(whole)) == [(5, 3), (9, 4)]
    assert list(leader_epochs(whole + batch(12, 5, 50)[:10])) == [(5, 3), (9, 4)]
    assert list(leader_epochs(b"")) == []

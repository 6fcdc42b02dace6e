"""Milliseconds since 1970, to and fro."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from axonstream.event_contract import MAX_TIME_MS
from axonstream.unix_ms import iso_milliseconds, iso_seconds, ms_of, time_of


@given(st.integers(0, MAX_TIME_MS), st.integers(0, 999))
def test_a_time_is_the_same_there_and_back(ms: int, microseconds: int) -> None:
    at = time_of(ms)
    assert at.tzinfo is UTC
    assert ms_of(at + timedelta(microseconds=microseconds)) == ms
    assert datetime.fromisoformat(iso_milliseconds(ms)) == at
    assert datetime.fromisoformat(iso_seconds(ms)) == at.replace(microsecond=0)


def test_how_a_time_is_written() -> None:
    assert iso_milliseconds(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert iso_seconds(1_700_000_000_907) == "2023-11-14T22:13:20Z"

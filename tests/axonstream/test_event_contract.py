"""What is a number and what is a time in an event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from axonstream.event_contract import SECONDS, EventInput, event_id_of, trace_id_of


def event(**fields: Any) -> EventInput:
    return EventInput.model_validate({"identifier": "x", "payload": {}, "channel_id": 1, **fields})


@pytest.mark.parametrize("channel", [7, "7", "007", 7.0])
def test_a_channel_is_a_number_or_its_digits(channel: object) -> None:
    assert event(channel_id=channel).channel_id == 7


@pytest.mark.parametrize("channel", [True, "1_000", " 1 ", "+1", "-0", "1.0", "", -1, 1.5, 2**63, None, [1]])
def test_anything_else_is_no_channel(channel: object) -> None:
    with pytest.raises(ValidationError, match="channel_id"):
        event(channel_id=channel)


@pytest.mark.parametrize(
    ("time", "milliseconds"),
    [
        (None, None),
        (1_780_000_000_000, 1_780_000_000_000),
        ("2026-01-01T00:00:00.001Z", 1_767_225_600_001),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600_000),
        (datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600_000),
    ],
)
def test_a_time_has_a_zone_or_is_whole_milliseconds(time: object, milliseconds: int | None) -> None:
    assert event(occurredAt=time).occurred_at == milliseconds


@pytest.mark.parametrize("time", [True, "yesterday", "2026-01-01T00:00:00", -1, 1e300, 7_258_118_400_001])
def test_anything_else_is_no_time(time: object) -> None:
    with pytest.raises(ValidationError, match="occurredAt"):
        event(occurredAt=time)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (1_795_758_320, "1795758320 looks like seconds: multiply it by 1000"),
        (1_795_758_320.5, "looks like seconds"),
        (SECONDS.start, "looks like seconds"),
        (SECONDS.stop - 1, "looks like seconds"),
        (1_795_758_320_123_456, "looks like microseconds: divide it by 1000"),
        (1_795_758_320_123_456_789, "looks like nanoseconds: divide it by 1,000,000"),
        ("1972-05-01T00:00:00Z", "must be after 1973-03-03"),
        (datetime(1972, 5, 1, tzinfo=UTC), "must be after 1973-03-03"),
    ],
)
def test_a_time_of_another_unit_is_refused_with_its_remedy(time: object, words: str) -> None:
    """int(time.time()) made an event of January 1970, in a run that lasted 57 years."""
    with pytest.raises(ValidationError, match=words):
        event(occurredAt=time)


def test_a_dedup_key_names_a_trace_of_its_tenant() -> None:
    trace_id = trace_id_of("1", "order 7")
    assert trace_id == trace_id_of("1", "order 7") == "tr_cde71896bdd79d75"
    assert len({trace_id, trace_id_of("2", "order 7"), trace_id_of("1", "order 8")}) == 3
    assert event_id_of("1", trace_id, "order 7") == event_id_of("1", trace_id, "order 7")

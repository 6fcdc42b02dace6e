"""Summaries are merged by the highest last_offset; what is no summary is refused by name."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.sinks.summaries.summary_lines import SummaryBatch
from kit.sample_events import NOW_MS, Record
from kit.sample_summaries import summary


def summary_record(offset: int, fields: dict[str, Any], partition: int = 0) -> Record:
    key = state_key(fields["tenant_id"], fields["trace_id"])
    return Record("trace-summaries", partition, offset, key, orjson.dumps(fields))


def watermark(offset: int, folded: int) -> Record:
    return Record("trace-summaries", 0, offset, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": folded}))


@given(st.permutations(range(6)))
def test_the_newest_snapshot_of_each_segment_is_kept_whatever_the_order(order: list[int]) -> None:
    records = [summary_record(i, summary(f"tr_{last % 2}", 0, last)) for i, last in enumerate(order)]
    rows = [orjson.loads(line) for line in SummaryBatch.of(records).lines(3)]
    assert {(row["trace_id"], row["last_offset"]) for row in rows} == {("tr_0", 4), ("tr_1", 5)}
    assert {row["_topic_epoch"] for row in rows} == {3}


def test_segments_of_a_trace_stay_apart() -> None:
    records = [summary_record(0, summary(first_offset=0)), summary_record(1, summary(first_offset=9, last_offset=9))]
    assert len(list(SummaryBatch.of(records).lines(1))) == 2


def test_times_are_quoted_seconds() -> None:
    row = orjson.loads(next(SummaryBatch.of([summary_record(0, summary())]).lines(1)))
    assert row["first_at"] == "0000000000.005"
    assert row["last_at"] == f"{NOW_MS // 1000}.123"


def test_the_highest_watermark_counts() -> None:
    assert SummaryBatch.of([watermark(0, 7), watermark(1, 9), watermark(2, 8)]).folded == {0: 9}


def test_what_is_no_summary_is_refused_with_a_reason() -> None:
    wrong_key = Record("trace-summaries", 0, 0, b"other", orjson.dumps(summary()))
    no_count = summary()
    del no_count["event_count"]
    records = [
        wrong_key,
        summary_record(1, no_count),
        summary_record(2, summary(exact=2)),
        summary_record(3, summary(event_count="6")),
        Record("trace-summaries", 0, 4, b"k", b"{"),
        Record("trace-summaries", 0, 5, b"k", None),
        Record("trace-summaries", 0, 6, WATERMARK_KEY, b'{"v":1,"folded":-1}'),
    ]
    batch = SummaryBatch.of([*records, summary_record(7, summary())])
    assert [letter.offset for letter in batch.refused] == list(range(7))
    assert "event_count" in batch.refused[1].reason
    assert len(batch.newest) == 1

"""What the sink passes over of deleted traces, and which rows the statements that delete take in. No ClickHouse."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import DELETION_FORM, MARKER_KEY, Deletion, Late, marker_value, read_marker
from axonstream.kafka.topics import Topics, event_key, state_key
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting import absent_places
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.deleting.deleted_rows import MOST_SQL_BYTES, Epoch, batches, literal
from axonstream.sinks.deleting.finished import read_epochs
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.summaries.summary_lines import HiddenSummaries, SummaryBatch
from kit.sample_events import Record, event_value

TOPICS = Topics()
LOG = "the log"
REFUSED = Deletion(1, ("tr_a",), Late.REFUSED, 1_000, LOG, (5, 5))
STORED = Deletion(2, ("tr_a",), Late.STORED, 1_000, LOG, (5, 5))
EVERYTHING = Deletion(3, (), Late.STORED, 1_000, LOG, (5, 5))
SHUT = Deletion(4, (), Late.REFUSED, 1_000, LOG, (5, 5))


def known(*deletions: Deletion, tenant_id: str = "1") -> DeletedTraces:
    deleted = DeletedTraces()
    for deletion in deletions:
        deleted.put(tenant_id, deletion)
    return deleted


def record(trace_id: str, offset: int, value: bytes | None = None) -> Record:
    return Record("agent-events", 0, offset, event_key(trace_id), value or event_value(trace_id, offset))


def marker(offset: int, deletion: Deletion, tenant_id: str = "1") -> Record:
    return Record("agent-events", 0, offset, MARKER_KEY, marker_value(tenant_id, deletion))


def stored(batch: EventBatch, records: Sequence[Record]) -> list[int]:
    """The offsets of what becomes rows."""
    batch.add(records)
    return [row.record.offset for row in batch.rows]


@pytest.mark.parametrize(
    ("deletion", "left"),
    [(REFUSED, [8]), (STORED, [6, 7, 8]), (EVERYTHING, [6, 7, 8]), (SHUT, [])],
)
def test_a_replay_of_the_log_stores_nothing_of_a_deleted_trace(deletion: Deletion, left: list[int]) -> None:
    records = [record("tr_a", 3), record("tr_a", 4), marker(5, deletion), record("tr_a", 6), record("tr_a", 7)]
    batch = EventBatch(1, LateEvents(known(deletion), LOG))
    assert stored(batch, [*records, record("tr_b", 8)]) == left
    assert batch.refused == []
    assert batch.records == 6


def test_another_tenants_trace_another_log_and_another_trace_are_stored() -> None:
    records = [record("tr_a", 3), record("tr_a", 8)]
    assert stored(EventBatch(1, LateEvents(known(REFUSED, EVERYTHING, tenant_id="2"), LOG)), records) == [3, 8]
    assert stored(EventBatch(1, LateEvents(known(STORED), "a later log")), records) == [3, 8]
    assert stored(EventBatch(1, LateEvents(known(STORED), LOG)), [record("tr_b", 3)]) == [3]


def test_a_marker_holds_for_what_follows_it_before_the_control_topic_is_read() -> None:
    """The record of the deletion may be read a moment later; a late event between the two is late all the same."""
    late = LateEvents(DeletedTraces(), LOG)
    assert stored(EventBatch(1, late), [record("tr_a", 3), marker(5, REFUSED), record("tr_a", 6)]) == [3]
    assert stored(EventBatch(1, late), [record("tr_a", 7), record("tr_b", 8)]) == [8]
    assert late.dropped == 2


def test_bytes_of_a_refused_trace_become_no_dead_letter() -> None:
    bad = b'{"tenant_id":"1","trace_id":"tr_a","secret":1}'
    other = b'{"tenant_id":"1","trace_id":"tr_b","secret":1}'
    batch = EventBatch(1, LateEvents(known(REFUSED), LOG))
    batch.add([record("tr_a", 3, bad), record("tr_a", 9, bad), record("tr_b", 10, other)])
    assert [letter.offset for letter in batch.refused] == [10]


def test_a_marker_that_is_not_readable_is_a_dead_letter_and_deletes_nothing() -> None:
    for value in (b"{}", b"", marker_value("1", REFUSED)[:-1], None):
        assert read_marker(MARKER_KEY, value) is None
    batch = EventBatch(1, LateEvents())
    batch.add([Record("agent-events", 0, 1, MARKER_KEY, b"{}")])
    assert len(batch.refused) == 1


def test_a_summary_that_counts_deleted_events_is_not_stored() -> None:
    """A processor that starts again writes the summaries of what it reads before the marker once more."""
    fields = {
        "v": 1, "tenant_id": "1", "event_count": 1, "error_count": 0, "tool_call_count": 0, "handoff_count": 0,
        "first_at": 1, "last_at": 1, "last_received_at": 1, "agents": [], "event_types": [],
        "first_error_event_id": 0, "first_error_step": 0, "first_error_span_id": "", "first_error_identifier": "",
        "first_error_agent_id": "", "exact": 1,
    }  # fmt: skip

    def summary(trace_id: str, first: int) -> Record:
        value = fields | {"trace_id": trace_id, "first_offset": first, "last_offset": first + 1}
        return Record("trace-summaries", 0, 0, state_key("1", trace_id), orjson.dumps(value))

    summaries = [summary("tr_a", 3), summary("tr_a", 6), summary("tr_b", 3)]
    for deletion, left in ((REFUSED, [3]), (STORED, [6, 3]), (EVERYTHING, [6]), (SHUT, [])):
        batch = SummaryBatch.of(summaries, HiddenSummaries(known(deletion), LOG))
        assert [one.first_offset for one in batch.newest.values()] == left
        assert batch.refused == []


@given(st.text())
def test_a_text_in_a_statement_ends_where_it_ends(text: str) -> None:
    """Read as ClickHouse reads a literal: the first quote that no backslash escapes ends it."""
    sql = literal(text)
    found = re.fullmatch(r"'((?:[^'\\]|\\.)*)'", sql, re.DOTALL)
    assert found is not None
    assert re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) == text


def test_rows_of_an_earlier_log_go_and_those_of_a_later_one_stay() -> None:
    epochs = [Epoch(1, "an earlier log", 10), Epoch(2, LOG, 20), Epoch(3, LOG, 2_000), Epoch(4, "a later log", 3_000)]
    (batch,) = batches([("1", STORED)], epochs, TOPICS, known(STORED))
    condition = batch.conditions["events_log"]
    assert "_topic_epoch IN (1)" in condition
    assert "_topic_epoch IN (2, 3) AND _offset < [5, 5][_partition + 1]" in condition
    assert "4" not in condition
    assert "first_offset < [5, 5]" in batch.conditions["trace_summaries"]
    (refused,) = batches([("1", REFUSED)], epochs, TOPICS, known(REFUSED))
    assert "_topic_epoch" not in refused.conditions["events_log"]  # whatever is there of it is not to be there
    (shut,) = batches([("1", SHUT)], epochs, TOPICS, known(SHUT))
    assert shut.conditions["events_log"] == "((tenant_id = '1'))"
    (opened,) = batches([("1", SHUT)], epochs, TOPICS, known(SHUT, replace(EVERYTHING, at=1_001)))
    assert "_offset < [5, 5]" in opened.conditions["events_log"]


def test_the_end_that_a_log_has_lost_is_deleted_with_it() -> None:
    """Before the loss the deletion's offsets are of that end; after it all of the end is older than the deletion."""

    class ClickHouse:
        async def query(self, sql: str, parameters: dict[str, str]) -> Any:
            assert parameters == {"topic": TOPICS.events}
            return SimpleNamespace(
                result_rows=[(1, LOG, 20)] if "topic_epochs" in sql else [(2, 1, 900), (3, 1, 1_100)]
            )

    client: Any = ClickHouse()
    epochs = asyncio.run(read_epochs(client, TOPICS))
    (batch,) = batches([("1", STORED)], epochs, TOPICS, known(STORED))
    condition = batch.conditions["events_log"]
    assert "_topic_epoch IN (1, 2, 3) AND _offset < [5, 5][_partition + 1]" in condition
    assert "(_topic_epoch IN (2))" in condition  # lost before it, at 900; not the end that was lost after it, at 1,100


def test_a_repeated_deletion_measures_the_lost_end_by_the_marker_that_was_lost_with_it() -> None:
    """The repetition's marker may stand below it: rows of the lost end from before the deletion would stay."""
    again = Deletion(9, ("tr_a",), Late.STORED, 1_200, LOG, (3, 5), repeats=2, lost_bounds=(5, 5))
    epochs = [Epoch(1, LOG, 20), Epoch(3, LOG, 1_300), Epoch(3, "", 1_300)]
    (batch,) = batches([("1", again)], epochs, TOPICS, known(again))
    condition = batch.conditions["events_log"]
    assert "_topic_epoch IN (1) AND _offset < [3, 5][_partition + 1]" in condition
    assert "_topic_epoch IN (3) AND _offset < [5, 5][_partition + 1]" in condition


def test_a_deletion_that_was_repeated_is_void_from_its_successors_marker_on() -> None:
    """Its offsets are given again: what stands there now came after the deletion."""
    again = Deletion(9, ("tr_a",), Late.STORED, 1_200, repeats=STORED.id)
    control = ControlDeletions(Settings())
    first = (f"deletion/1/{STORED.id}".encode(), DELETION_FORM.dump_json(STORED))
    control.read(*first)
    late = LateEvents(control.deleted, LOG)
    behind = [record("tr_a", 1), marker(2, again), record("tr_a", 3), record("tr_a", 4)]
    assert stored(EventBatch(1, late), behind) == [3, 4]
    control.read(*first)  # the topic is read once more, from its start
    assert stored(EventBatch(1, late), [record("tr_a", 3)]) == [3]
    assert not control.recorded
    control.read(b"deletion/1/9", DELETION_FORM.dump_json(again))
    assert list(control.recorded) == [9]


def test_places_are_remembered_in_statements_of_some_size() -> None:
    most = absent_places.ROWS_AT_A_TIME
    ranges = [(1, 0, 0, 10), (1, 0, 7, most - 10), (1, 0, 8, 1), (1, 1, 0, 1), (2, 1, 0, most + 1)]
    assert list(absent_places.stretches(ranges)) == [
        (1, 0, 0, 8_000_000),
        (1, 0, 8_000_000, 9_000_000),
        (1, 1, 0, 1_000_000),
        (2, 1, 0, 1_000_000),
    ]
    assert not list(absent_places.stretches([]))


def test_what_a_later_deletion_lets_in_again_is_not_deleted_by_the_earlier_one() -> None:
    """The earlier one may be done again at any time: where a backup was restored."""
    both = Deletion(1, ("tr_a", "tr_b"), Late.REFUSED, 1_000, LOG, (5,))
    reopened = Deletion(4, ("tr_a",), Late.STORED, 2_000, LOG, (9,))
    (batch,) = batches([("1", both)], [Epoch(1, LOG, 1)], TOPICS, known(both, reopened))
    assert batch.conditions["events_log"] == (
        "((tenant_id = '1' AND ((trace_id IN ('tr_b')) OR "
        "(trace_id IN ('tr_a') AND ((_topic_epoch IN (1) AND _offset < [5][_partition + 1]))))))"
    )


def test_a_deletion_without_any_epoch_deletes_nothing_by_offsets() -> None:
    (batch,) = batches([("1", STORED)], [], TOPICS, known(STORED))
    assert "(0)" in batch.conditions["events_log"]


def test_many_deletions_share_statements_that_clickhouse_takes() -> None:
    trace = "'" * 256  # each of them escaped
    asked = [("1", Deletion(number, (trace,) * 200, Late.REFUSED, 1, LOG, (1,))) for number in range(5)]
    made = list(batches(asked, [], TOPICS, known(*(one for _, one in asked))))
    assert [one[1].id for batch in made for one in batch.deletions] == list(range(5))
    assert all(len(batch.conditions["events_log"].encode()) < 1.1 * MOST_SQL_BYTES for batch in made)
    assert all(len(sql.encode()) < 255 << 10 for batch in made for sql in batch.conditions.values())
    assert len(list(batches([("1", REFUSED)] * 300, [], TOPICS, known(REFUSED)))) == 1


def test_only_what_the_control_topic_says_is_done_and_its_tombstone_ends_it() -> None:
    control = ControlDeletions(Settings())
    control.read(b"deletion/1/1", orjson.dumps({"id": 1, "trace_ids": ["tr_a"], "late": "refused", "at": 1}))
    control.read(b"deletion/1/2", b"{broken")
    control.read(b"key/1/3", b"{}")
    control.read(None, b"{}")
    assert list(control.recorded) == [1]
    assert control.deleted.refuses("1", "tr_a")
    control.deleted.mark(read_marker(MARKER_KEY, marker_value("2", EVERYTHING)) or pytest.fail("no marker"), LOG, 0, 9)
    assert list(control.recorded) == [1]
    control.read(b"deletion/1/1", None)
    assert not control.recorded
    assert not control.deleted.refuses("1", "tr_a")
    assert control.deleted.hides("2", "any", LOG, 0, 8)


def test_the_newest_deletion_says_what_becomes_of_late_events_and_every_bound_holds() -> None:
    early = Deletion(1, ("tr_a",), Late.REFUSED, 1, LOG, (9,))
    newer = Deletion(2, ("tr_a",), Late.STORED, 2, LOG, (5,))
    for order in ([early, newer], [newer, early]):
        deleted = known(*order)
        assert not deleted.refuses("1", "tr_a")
        assert deleted.bound("1", "tr_a", LOG, 0) == 9
    deleted.drop("1", 2)
    assert deleted.refuses("1", "tr_a")
    deleted.drop("1", 1)
    assert not deleted

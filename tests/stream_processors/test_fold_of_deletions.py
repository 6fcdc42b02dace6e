"""The fold of a log with markers of deletions is that of the events behind them, over any chunking and any crash."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fold import Stored, Worker, a_record, check, logs, recovered, small_pages, table

from axonstream.contract.deletion import MARKER_KEY, Deletion, Late, marker_value, read_marker
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.kafka.topics import state_key
from axonstream.stream_processors.fold import fold_records
from axonstream.stream_processors.state_table import StateTable
from axonstream.stream_processors.trace_states import TraceStates

__all__ = ["small_pages", "table"]


@st.composite
def logs_with_deletions(draw: st.DrawFn) -> list[Stored]:
    """Some records are markers: of one trace, of both, of all of a tenant."""
    records = draw(logs())
    for at in draw(st.sets(st.integers(0, len(records) - 1), max_size=4)):
        traces = draw(st.sampled_from([("a",), ("a", "b"), ("none",), ()]))
        tenant_id = draw(st.sampled_from(["1", "2"]))
        deletion = Deletion(at, traces, draw(st.sampled_from(list(Late))), 1)
        records[at] = replace(records[at], key=MARKER_KEY, value=marker_value(tenant_id, deletion))
    return records


def left(records: list[Stored]) -> list[Stored]:
    """The records without those that a later marker deletes."""
    kept: list[Stored] = []
    for record in records:
        marker = read_marker(record.key, record.value)
        if marker is None:
            kept.append(record)
            continue
        tenant_id, deletion = marker

        def is_deleted(one: Stored, tenant_id: str = tenant_id, traces: tuple[str, ...] = deletion.trace_ids) -> bool:
            event = validate_record(one.key, one.value)
            if isinstance(event, ValidationFailure) or event.tenant_id != tenant_id:
                return False
            return not traces or event.trace_id in traces

        kept = [one for one in kept if not is_deleted(one)]
    return kept


@given(records=logs_with_deletions(), cuts=st.sets(st.integers(0, 60)))
def test_what_stands_before_the_marker_is_in_no_summary_after_it(records: list[Stored], cuts: set[int]) -> None:
    states = TraceStates()
    for start, end in pairwise(sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})):
        fold_records(records[start:end], states)
    check(states, left(records))


@pytest.mark.slow
@given(records=logs_with_deletions(), data=st.data())
@pytest.mark.usefixtures("small_pages")
def test_a_crash_anywhere_brings_nothing_back(table: StateTable, records: list[Stored], data: st.DataObject) -> None:
    """The changelog is cut at any record that was not acknowledged before a commit; the replay starts at the commit."""
    worker = Worker()
    position = acknowledged = 0
    for _ in range(data.draw(st.integers(1, 8), label="chunks")):
        end = data.draw(st.integers(position, len(records)), label="chunk end")
        worker.changelog += fold_records(records[position:end], worker.states).changelog
        position = end
        if data.draw(st.booleans(), label="committed"):
            worker.committed, acknowledged = position, len(worker.changelog)
        if data.draw(st.booleans(), label="crash"):
            del worker.changelog[data.draw(st.integers(acknowledged, len(worker.changelog)), label="cut") :]
            worker.states = recovered(table, worker.changelog)
            position, acknowledged = worker.committed, len(worker.changelog)
    fold_records(records[position:], worker.states)
    check(worker.states, left(records))


def test_a_marker_forgets_the_states_of_its_own_partition_alone() -> None:
    """Offsets of two partitions cannot be compared, and each has a marker of its own."""
    partitions: dict[bytes, int] = {}
    states = TraceStates(partitions=partitions)
    fold_records([a_record(3)], states, 0)
    (key,) = states
    partitions[key] = 0
    tenant_id, trace_id = key.decode().split("\x00")
    assert key == state_key(tenant_id, trace_id)
    for traces in ((trace_id,), ()):
        marker = Stored(9, MARKER_KEY, marker_value(tenant_id, Deletion(1, traces, Late.STORED, 1)))
        elsewhere = fold_records([marker], states, 1)
        assert key in states
        assert elsewhere.changelog == []
    folded = fold_records([Stored(9, MARKER_KEY, b"{}")], states, 0)
    assert key in states
    assert folded.changelog == []


def test_what_was_deleted_is_in_no_recovered_state(table: StateTable) -> None:
    """What is committed behind the marker is not read again: only the changelog can say that the trace is gone."""
    states = TraceStates()
    before = fold_records([a_record(3)], states).changelog
    (key,) = states
    tenant_id, trace_id = key.decode().split("\x00")
    marker = Stored(9, MARKER_KEY, marker_value(tenant_id, Deletion(1, (trace_id,), Late.STORED, 1)))
    after = fold_records([marker], states).changelog
    assert recovered(table, before).keys() == {key}
    assert not recovered(table, [*before, *after])
    newer = fold_records([a_record(12)], states).changelog
    assert recovered(table, [*before, *after, *newer])[key].first_offset == 12

"""The fold against a recomputation from all events: repeats, late events, any chunking, crashes and replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import event_key, state_key
from axonstream.stream_processors import remembered_ids
from axonstream.stream_processors.fold import ChangelogRecord, fold_records
from axonstream.stream_processors.name_list import names_in
from axonstream.stream_processors.snapshots import summary_record
from axonstream.stream_processors.state_table import StateTable
from axonstream.stream_processors.trace_state import TraceState, changelog_records, tombstone_records
from axonstream.stream_processors.trace_states import TraceStates
from kit.recomputation import may_be_inexact, recomputed_summary

PARTITIONS = 16
TYPES = ("agent.error", "agent.error", "agent.tool_call.start", "agent.handoff", "custom")


@dataclass(frozen=True)
class Stored:
    """A record as Kafka keeps it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def timestamp(self) -> int:
        """As if each publisher had the clock of the broker."""
        try:
            return int(orjson.loads(self.value or b"")["received_at"])
        except (ValueError, KeyError, TypeError):
            return 0


@st.composite
def logs(draw: st.DrawFn, most: int = 60) -> list[Stored]:
    """One partition's records: few traces, times that jump back, repeats, refused records, gaps between offsets."""
    offset = draw(st.integers(0, 5))
    records: list[Stored] = []
    for number in range(draw(st.integers(1, most))):
        trace = draw(st.sampled_from(["a", "b"]))
        dedup = draw(st.integers(0, 12))
        event: dict[str, Any] = {
            "v": 1,
            "tenant_id": draw(st.sampled_from(["1", "1", "2"])),
            "event_id": dedup if dedup else 1000 + number,
            "trace_id": trace,
            "channel_id": 1,
            "event_type": draw(st.sampled_from(TYPES)),
            "identifier": f"i{number}",
            "occurred_at": draw(st.integers(0, 6)),
            "received_at": draw(st.integers(0, 6)),
            "source": "app",
            "span_id": f"s{number}",
            "payload": {},
        }
        if agent := draw(st.sampled_from(["", "x", "y"])):
            event["agent_id"] = agent
        if dedup:
            event["dedup_key"] = f"k{dedup}"
        value = orjson.dumps(event) if draw(st.integers(0, 9)) else b"{broken"
        records.append(Stored(offset, event_key(trace), value))
        offset += draw(st.sampled_from([1, 1, 1, 3]))
    return records


def events_by_key(records: list[Stored]) -> dict[bytes, list[tuple[int, dict[str, Any]]]]:
    traces: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for record in records:
        if record.value and record.value != b"{broken":
            event = orjson.loads(record.value)
            traces.setdefault(state_key(event["tenant_id"], event["trace_id"]), []).append((record.offset, event))
    return traces


def check(states: TraceStates, records: list[Stored]) -> None:
    expected = events_by_key(records)
    assert states.keys() == expected.keys()
    for key, state in states.items():
        summary = orjson.loads(summary_record(key, state)[1])
        if not state.ids.complete:
            assert not summary["exact"]
            continue
        truth = recomputed_summary(expected[key])
        if may_be_inexact(expected[key]):
            assert summary["exact"] == 0
            truth["first_error_step"] = summary["first_error_step"]
        else:
            assert summary["exact"] == 1
        del summary["exact"]
        assert summary == truth


@pytest.fixture(scope="module")
def small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remembered_ids, "PAGE_BYTES", 3 * remembered_ids.ID_BYTES)
        yield


@pytest.fixture(scope="module")
def table() -> StateTable:
    return StateTable({}, {}, partitions=PARTITIONS, queue=lambda *_: [])


@given(records=logs(), cuts=st.sets(st.integers(0, 60)))
def test_any_chunking_gives_the_recomputed_summary(records: list[Stored], cuts: set[int]) -> None:
    states = TraceStates()
    chunks = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for start, end in pairwise(chunks):
        fold_records(records[start:end], states)
    check(states, records)


@dataclass
class Worker:
    """A worker between two crashes: what it holds in memory, what Kafka holds of it."""

    states: TraceStates = field(default_factory=TraceStates)
    changelog: list[ChangelogRecord] = field(default_factory=list[ChangelogRecord])
    committed: int = 0


@given(records=logs(), data=st.data())
@pytest.mark.usefixtures("small_pages")
def test_a_crash_anywhere_loses_and_doubles_nothing(
    table: StateTable, records: list[Stored], data: st.DataObject
) -> None:
    """The changelog is cut at any record that was not acknowledged before a commit; the replay starts at the commit."""
    worker = Worker()
    position = acknowledged = 0
    for _ in range(data.draw(st.integers(1, 8), label="chunks")):
        end = data.draw(st.integers(position, len(records)), label="chunk end")
        folded = fold_records(records[position:end], worker.states)
        worker.changelog += folded.changelog
        position = end
        if data.draw(st.booleans(), label="committed"):
            worker.committed, acknowledged = position, len(worker.changelog)
        if data.draw(st.booleans(), label="crash"):
            del worker.changelog[data.draw(st.integers(acknowledged, len(worker.changelog)), label="cut") :]
            worker.states = recovered(table, worker.changelog)
            position, acknowledged = worker.committed, len(worker.changelog)
    fold_records(records[position:], worker.states)
    check(worker.states, records)


def recovered(table: StateTable, changelog: Sequence[ChangelogRecord]) -> TraceStates:
    table.states.clear()
    table.merge(
        [Stored(offset, key, value, tuple(headers)) for offset, (key, value, *headers) in enumerate(changelog)], 0
    )
    return TraceStates(dict(table.states.packed), dict(table.states.pages))


@pytest.mark.slow
@given(records=logs())
def test_a_replay_touches_every_trace_and_changes_none(records: list[Stored]) -> None:
    states = TraceStates()
    first = fold_records(records, states)
    before = {key: summary_record(key, state) for key, state in states.items()}
    again = fold_records(records, states)
    assert again.changelog == []
    assert again.touched.keys() == first.touched.keys()
    assert {key: summary_record(key, state) for key, state in states.items()} == before


@pytest.mark.slow
@given(records=logs(), late=st.integers(0, 60))
@pytest.mark.usefixtures("small_pages")
def test_the_older_of_two_states_never_wins(table: StateTable, records: list[Stored], late: int) -> None:
    """I10: what a zombie wrote late, after its successor's records, is passed over."""
    states = TraceStates()
    changelog: list[ChangelogRecord] = []
    for record in records:
        changelog += fold_records([record], states).changelog
    expected = {key: summary_record(key, state) for key, state in states.items()}
    merged = recovered(table, [*changelog, *changelog[:late]])
    assert {key: summary_record(key, state) for key, state in merged.items()} == expected


def test_a_tombstone_takes_the_state_that_it_is_of_and_no_newer_one(table: StateTable) -> None:
    """I10: a worker that lost its partition may write a tombstone after its successor's states."""
    states = TraceStates()
    fold_records([a_record(0)], states)
    ((key, state),) = states.items()
    ((key, none, fence),) = tombstone_records(key, state)
    tombstone = Stored(9, key, none, (fence,))
    newer = fold_records([a_record(5)], states).changelog
    merged = recovered(table, newer)
    table.merge([tombstone], 0)
    assert table.states.packed == merged.packed
    merged = recovered(table, changelog_records(key, state))
    table.merge([tombstone], 0)
    assert merged.keys() == {key}
    assert not table.states


def test_a_trace_that_moved_to_another_partition_begins_another_segment_there(table: StateTable) -> None:
    """Partitions were added: its events there were skipped as folded already, because their offsets are lower."""
    home = partition_of(b"t", PARTITIONS)
    elsewhere = home + 1
    states = TraceStates(partitions={b"1\x00t": elsewhere})
    fold_records([a_record(7)], states, elsewhere)
    before = states[b"1\x00t"]
    moved = fold_records([a_record(0), a_record(1)], states, home)
    after = states[b"1\x00t"]
    assert (after.first_offset, after.event_count) == (0, 2)
    assert [(of, key, state.first_offset) for of, key, state in moved.left] == [(elsewhere, b"1\x00t", 7)]
    old, new = changelog_records(b"1\x00t", before), changelog_records(b"1\x00t", after)
    for first, second in (((old, elsewhere), (new, home)), ((new, home), (old, elsewhere))):
        table.states.clear()
        for records, partition in (first, second):
            table.merge([Stored(0, key, value) for key, value in records], partition)
        ((key, none, fence),) = tombstone_records(b"1\x00t", before)
        table.merge([Stored(9, key, none, (fence,))], elsewhere)  # of the old state, and takes no other one
        assert table.states[b"1\x00t"].first_offset == 0
        assert table.partition_of(b"1\x00t") == home


def a_record(offset: int, **fields: Any) -> Stored:
    event = {
        "v": 1,
        "tenant_id": "1",
        "event_id": offset,
        "trace_id": "t",
        "channel_id": 1,
        "event_type": "custom",
        "identifier": "i",
        "occurred_at": offset,
        "received_at": offset,
        "source": "app",
        "payload": {},
    }
    return Stored(offset, b"t", orjson.dumps({**event, **fields}))


def folded(records: list[Stored]) -> TraceState:
    states = TraceStates()
    fold_records(records, states)
    return states[b"1\x00t"]


def test_more_agents_than_the_cap_are_not_listed_and_the_summary_says_so() -> None:
    full = [a_record(offset, agent_id=f"a{offset}") for offset in range(64)]
    assert folded(full).exact
    more = folded([*full, a_record(64, agent_id="one too many")])
    assert len(names_in(more.agents)) == 64
    assert not more.exact


@pytest.mark.slow
def test_a_trace_beyond_the_remembered_ids_is_inexact_and_stays_small() -> None:
    full = [a_record(offset, dedup_key=str(offset)) for offset in range(remembered_ids.CAPACITY)]
    assert folded(full).exact
    repeated = folded([*full, a_record(5000, event_id=0, dedup_key="0")])
    assert repeated.exact
    assert repeated.event_count == remembered_ids.CAPACITY
    more = folded([*full, *(a_record(offset, dedup_key=str(offset)) for offset in range(5000, 9000))])
    assert not more.exact
    assert more.event_count == remembered_ids.CAPACITY + 4000
    assert len(more.ids.tail) <= 2 * remembered_ids.PAGE_BYTES
    assert not more.ids.pages


def test_events_without_a_dedup_key_are_never_merged_and_never_make_a_trace_inexact() -> None:
    state = folded([a_record(offset, event_id=7) for offset in range(6000)])
    assert state.event_count == 6000
    assert state.exact

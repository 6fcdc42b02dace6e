"""Power cuts against the truth: any of the four logs may have lost its end, and the summaries are right all the same.

The machine of test_eviction, whose crashes take only what was not acknowledged, with cuts that take more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from test_eviction import CHANGELOG, SUMMARIES, EvictionMachine, mark_at

from axonstream.contract.step_record import is_step_key
from axonstream.kafka.record_identity import CommitNote, RecordMark, Standing
from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.stream_processors import remembered_ids, settle_ledger, snapshots
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.start_position import ALL, Known, Start, start_of
from kit.recomputation import may_be_inexact, recomputed_summary


class PowerCutMachine(EvictionMachine):
    """Segments may overlap after a cut, and readers then recompute; none that says it is exact may be wrong."""

    def __init__(self) -> None:
        self.commits = [(0, CommitNote())]
        super().__init__()

    def start(self) -> Start:
        known = self.known()
        return start_of("unit", known, [(mark, self.standing(mark)) for mark in known.marks()])

    def standing(self, mark: RecordMark) -> Standing:
        if mark.offset >= len(self.log):
            return Standing.SHORT
        return Standing.SAME if mark_at(self.log, mark.offset) == mark else Standing.OTHER

    @rule()
    def commit(self) -> None:
        super().commit()
        self.commits.append((self.committed, self.note))

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def power_cut(self, data: st.DataObject) -> None:
        """Every log keeps what it likes, the group's offsets too; then somebody publishes before a processor starts."""
        kept = {
            topic: data.draw(st.integers(0, len(records)), label=topic) for topic, records in self.kafka.topics.items()
        }
        commits = data.draw(st.integers(1, len(self.commits)), label="commits")
        lost = data.draw(st.sampled_from([0, 0, 0, 1, 2, len(self.log)]), label="lost events")
        self.cut(kept, commits, lost, published=data.draw(st.integers(0, 2)) if lost else 0)

    def cut(self, kept: Mapping[str, int], commits: int, lost: int, published: int = 0) -> None:
        """Of each topic, and of the commits, so many are `kept`; of the log so many are `lost`."""
        for topic, records in self.kafka.topics.items():
            del records[kept[topic] :]
        del self.commits[commits:]
        self.committed, self.note = self.commits[-1]
        del self.log[max(0, len(self.log) - lost) :]
        self.append([("a", 0, 1, "custom"), ("b", 0, 2, "agent.error")][:published])
        self.recover()
        self.commits.append((self.committed, CommitNote(last=self.kafka.ledger.note(0, None).last)))

    def check_summaries(self) -> None:
        """Of what was said since the log was last begun anew; what came before stays as it was, for another log."""
        said: list[dict[str, Any]] = []
        for key, value in self.kafka.topics[SUMMARIES]:
            summary = orjson.loads(value)
            if is_step_key(key):
                continue
            if key != WATERMARK_KEY:
                said.append(summary)
            elif summary.get("anew"):
                said.clear()
        latest: dict[tuple[bytes, int], dict[str, Any]] = {}
        for summary in said:
            segment = (state_key(summary["tenant_id"], summary["trace_id"]), summary["first_offset"])
            if summary["last_offset"] >= latest.get(segment, {"last_offset": -1})["last_offset"]:
                latest[segment] = summary
        traces: defaultdict[bytes, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for record in self.log:
            event = orjson.loads(record.value or b"")
            traces[state_key("1", event["trace_id"])].append((record.offset, event))
        covered: defaultdict[bytes, set[int]] = defaultdict(set)
        for (key, first), summary in latest.items():
            own = [(offset, event) for offset, event in traces[key] if first <= offset <= summary["last_offset"]]
            covered[key].update(offset for offset, _ in own)
            if not summary.pop("exact"):
                assert may_be_inexact(own)
            else:
                assert summary == recomputed_summary(own), "too small, or too large, and says that it is exact"
        for key, events in traces.items():
            assert covered[key] == {offset for offset, _ in events}, "an event is in no segment"


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_ids, "PAGE_BYTES", 3 * remembered_ids.ID_BYTES)
    monkeypatch.setattr(settle_ledger, "REACH", 6)
    monkeypatch.setattr(snapshots, "ONE_BATCH", 0)


TestPowerCutMachine = PowerCutMachine.TestCase
TestPowerCutMachine.settings = hypothesis_settings(stateful_step_count=25)


def test_states_that_outlive_their_note_are_found_out_although_a_life_began_and_ended_in_between() -> None:
    """The life in between must say the mark that went ahead of the states: its note is the last that is read."""
    machine = PowerCutMachine()
    machine.append([("a", 0, 0, "agent.error"), ("a", 0, 0, "agent.error")])
    machine.fold(2)
    machine.kafka.acknowledge()
    [opening, ahead, state, _] = machine.kafka.topics[CHANGELOG]
    machine.cut({CHANGELOG: 3, SUMMARIES: 0}, commits=1, lost=0)
    assert machine.kafka.topics[CHANGELOG][:3] == [opening, ahead, state]
    machine.cut({topic: len(records) for topic, records in machine.kafka.topics.items()}, commits=1, lost=1)
    machine.teardown()


def test_events_of_an_evicted_state_whose_summary_is_lost_count_again_although_their_trace_has_begun_anew() -> None:
    machine = PowerCutMachine()
    machine.append([("a", 0, 0, "custom"), ("b", 0, 0, "custom")])
    machine.fold(2)
    machine.kafka.acknowledge()
    machine.commit()
    machine.evict_idle(most_live=1)
    machine.append([("a", 0, 0, "custom")])
    machine.fold(3)
    machine.kafka.acknowledge()
    machine.cut({CHANGELOG: len(machine.kafka.topics[CHANGELOG]), SUMMARIES: 0}, commits=1, lost=0)
    machine.teardown()


A, B = RecordMark(4, "a"), RecordMark(9, "b")
AT_10 = Known(0, 20, 10, CommitNote(last=B), CommitNote(last=B, folded=10), CommitNote(last=B, folded=10))


def all_are(known: Known, standing: Standing) -> list[tuple[RecordMark, Standing]]:
    return [(mark, standing) for mark in known.marks()]


def test_a_healthy_partition_goes_on_where_it_is_committed() -> None:
    assert start_of("p", AT_10, all_are(AT_10, Standing.SAME)) == Start(10, B, reached=10)


def test_states_that_are_behind_the_commit_are_caught_up_with() -> None:
    """Else their summaries are too small, and say that they are exact."""
    behind = Known(0, 20, 10, CommitNote(last=B), CommitNote(last=A, folded=5), CommitNote(last=B, folded=10))
    assert start_of("p", behind, all_are(behind, Standing.SAME)) == Start(5, B, reached=10)


def test_summaries_that_are_behind_the_commit_are_sent_again() -> None:
    behind = Known(0, 20, 10, CommitNote(last=B), CommitNote(last=B, folded=10), CommitNote(last=A, folded=5))
    assert start_of("p", behind, all_are(behind, Standing.SAME)).position == 5


def test_a_changelog_that_is_gone_is_made_again_from_the_whole_log() -> None:
    gone = Known(3, 20, 10, CommitNote(last=B), None, CommitNote(last=B, folded=10))
    assert start_of("p", gone, all_are(gone, Standing.SAME)) == Start(3, B, forget_below=3, reached=10)


def test_a_commit_of_a_version_without_notes_is_believed() -> None:
    """Its changelog says nothing, and an upgrade does not fold everything again."""
    assert start_of("p", Known(3, 20, 10, None, None, CommitNote(folded=10)), []).position == 10


@pytest.mark.parametrize("standing", [Standing.OTHER, Standing.SHORT])
@pytest.mark.parametrize("which", range(3))
def test_a_log_with_another_record_at_a_mark_is_folded_anew(standing: Standing, which: int) -> None:
    """Else what stands at the reused offsets is behind the fence, and skipped."""
    compared = all_are(AT_10, Standing.SAME)
    compared[which] = (B, standing)
    assert start_of("p", AT_10, compared) == Start(0, forget_below=ALL, anew=True)


def test_a_log_that_ends_before_what_was_folded_is_folded_anew() -> None:
    assert start_of("p", Known(0, 7, 10, None, None, None), []).anew


def test_events_that_were_deleted_before_they_were_folded_stop_the_start_with_words() -> None:
    deleted = Known(12, 20, 10, CommitNote(last=B), CommitNote(last=B, folded=10))
    with pytest.raises(BrokenInvariantError, match=r"the events 10 to 11 .* `axonstream rebuild-summaries`"):
        start_of("p", deleted, all_are(deleted, Standing.GONE))


def test_after_the_group_was_deleted_folding_begins_with_what_there_is() -> None:
    """`axonstream rebuild-summaries` does that."""
    deleted = Known(12, 20, None, None, None, CommitNote(last=B, folded=10))
    assert start_of("p", deleted, all_are(deleted, Standing.GONE)) == Start(12, forget_below=12)

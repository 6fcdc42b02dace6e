"""Eviction against the truth: events, repeats, commits, evictions, crashes at any record, recoveries, in any order.

The machine runs the product's fold, table, ledger and eviction, and stands in for what is around them: a log of events,
and two topics of which a crash keeps any part of what was not acknowledged. Kafka itself is in tests/faults.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from axonstream.contract.step_record import StepRecord, decode_step, is_step_key
from axonstream.kafka.record_identity import CommitNote, RecordMark, Standing, decode_note
from axonstream.kafka.topics import WATERMARK_KEY, Topics, event_key, state_key
from axonstream.stream_processors import remembered_ids, settle_ledger
from axonstream.stream_processors.eviction import Eviction
from axonstream.stream_processors.faust_adapter.found_starts import earliest_unsaid
from axonstream.stream_processors.fold import fold_records
from axonstream.stream_processors.idle_order import EvictionRule
from axonstream.stream_processors.queue_in_turn import QueueInTurn
from axonstream.stream_processors.settle_ledger import SettleLedger
from axonstream.stream_processors.snapshots import announced, step_records, summary_record, watermark_record
from axonstream.stream_processors.start_position import Known, Start, start_of
from axonstream.stream_processors.state_table import StateTable
from axonstream.stream_processors.trace_state import is_page_key
from kit.recomputation import kept_events, may_be_inexact, recomputed_steps, recomputed_summary

Published = tuple[str, int, int, str] | tuple[str, int, int, str, str, str]
DEDUP_KEYS = st.integers(0, 9)  # 0 for none
TYPES = ("agent.error", "agent.tool_call.start", "agent.tool_call.end", "agent.start", "agent.end", "custom")
SPANS = ("", "s", "t")
CHANGELOG, SUMMARIES = Topics("unit-").changelog, Topics("unit-").summaries


@dataclass(frozen=True)
class Stored:
    """A record as Kafka keeps it."""

    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def timestamp(self) -> int:
        """As if each publisher had the clock of the broker."""
        return int(orjson.loads(self.value or b"")["received_at"])


class MemoryKafka:
    """The two output topics of one partition, and what the eviction calls of consumer and producer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.ledger = SettleLedger(0, 0)
        self.topics: dict[str, list[tuple[Any, ...]]] = {CHANGELOG: [], SUMMARIES: []}
        self.acknowledged = dict.fromkeys(self.topics, 0)
        self.waiting: list[Future[Any]] = []
        self.in_turn: QueueInTurn[str, list[tuple[Any, ...]]] = QueueInTurn(self.send)

    def queue(
        self, topic: str, partition: int, records: Iterable[tuple[Any, ...]], after: Sequence[Future[Any]] = ()
    ) -> list[Future[Any]]:
        return self.in_turn.queue(topic, [list(records)], after)

    def send(self, topic: str, records: list[tuple[Any, ...]]) -> Future[Any]:
        self.topics[topic] += records
        self.waiting.append(self.loop.create_future())
        return self.waiting[-1]

    def acknowledge(self) -> None:
        """All that is queued, and what was to be sent after it, too."""
        while self.waiting:
            self.acknowledge_what_is_sent()

    def acknowledge_what_is_sent(self) -> None:
        self.acknowledged = {topic: len(records) for topic, records in self.topics.items()}
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            future.set_result(None)
        if not self.loop.is_running():
            self.loop.run_until_complete(asyncio.sleep(0))

    def die(self) -> None:
        """What has not been sent never is."""
        self.waiting.clear()
        self.in_turn = QueueInTurn(self.send)
        self.acknowledged = {topic: len(records) for topic, records in self.topics.items()}

    def owe(self, topic: str, partition: int, outputs: Sequence[Future[Any]]) -> None:
        self.ledger.owe(outputs)

    def final_below(self, topic: str, partition: int) -> int:
        return self.ledger.final_below


class EvictionMachine(RuleBasedStateMachine):
    """One partition, one worker after the other. Unacknowledged output may be stored or not when the worker dies."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.kafka = MemoryKafka(self.loop)
        self.table = StateTable({}, {}, partitions=1, queue=partial(self.kafka.queue, CHANGELOG))
        self.log: list[Stored] = []
        self.folded_to = self.committed = 0
        self.note = CommitNote()
        self.now = 0.0
        self.recover()

    def recover(self) -> None:
        """A new life: everything that reached Kafka is there, and reading goes on at the commit."""
        self.kafka.die()
        self.table.states.clear()
        self.table.idle.keep_only({})
        self.table.folded.clear()
        changelog = enumerate(self.kafka.topics[CHANGELOG])
        self.table.merge(
            [Stored(offset, key, value, tuple(headers)) for offset, (key, value, *headers) in changelog], 0
        )
        start = self.start()
        reached = len(self.log) if start.reached is None else start.reached
        self.kafka.ledger = SettleLedger(start.position, len(self.log), mark=start.mark, reached=reached)
        self.folded_to = self.committed = start.position
        if start.forgets:
            forgotten = self.table.forget_misfits(0, below=start.forget_below, since=start.forget_since, log_start=0)
            self.kafka.ledger.owe(forgotten)
        self.open(start)

    def start(self) -> Start:
        """Where this life begins to fold: at the commit, as a crash takes nothing that was acknowledged."""
        known = self.known()
        start = start_of("unit", known, [(mark, Standing.SAME) for mark in known.marks()])
        assert start.position >= self.committed
        return start

    def open(self, start: Start) -> None:
        """As the first chunk of a partition does."""
        note = self.kafka.ledger.note(start.position, None)
        outputs = self.table.queue_changelog(0, [], [], start.position, note)
        outputs += self.kafka.queue(SUMMARIES, 0, [watermark_record(note, anew=start.anew)], tuple(outputs))
        self.kafka.ledger.settle(start.position, outputs)

    def known(self) -> Known:
        watermarks = [value for key, value, *_ in self.kafka.topics[SUMMARIES] if key == WATERMARK_KEY]
        summaries = decode_note(watermarks[-1].decode()) if watermarks else CommitNote(folded=0)
        committed = (self.committed, self.note) if self.committed else (None, None)
        earliest = earliest_unsaid(self.table, 0, summaries)
        return Known(0, len(self.log), *committed, self.table.folded.get(0), summaries, earliest=earliest)

    @rule(
        events=st.lists(
            st.tuples(
                st.sampled_from("aab"),
                DEDUP_KEYS,
                st.integers(0, 6),
                st.sampled_from(TYPES),
                st.sampled_from(SPANS),
                st.sampled_from(SPANS),
            ),
            min_size=1,
        ),
        unfolded=st.sampled_from([0, 0, 1, 3]),
        reached=st.sampled_from(["queued", "said", "acknowledged", "committed", "committed"]),
    )
    def publish_and_fold(self, events: list[Published], unfolded: int, reached: str) -> None:
        """One more chunk, some events of which are not read yet, and how far its output comes before something else."""
        self.append(events)
        self.fold(max(self.folded_to, min(len(self.log) - unfolded, self.committed + settle_ledger.REACH)))
        if reached == "said":
            self.kafka.acknowledge_what_is_sent()
        elif reached != "queued":
            self.kafka.acknowledge()
        if reached == "committed":
            self.commit()

    def append(self, events: Iterable[Published]) -> None:
        """Publish events."""
        for trace, dedup, at, event_type, *spans in events:
            span, parent = (*spans, "", "")[:2]
            offset = len(self.log)
            event = {
                "v": 1,
                "tenant_id": "1",
                "event_id": dedup or 1000 + offset,
                "trace_id": trace,
                "channel_id": 1,
                "event_type": event_type,
                "identifier": f"i{at % 2}",
                "occurred_at": at,
                "received_at": offset,
                "source": "app",
                "payload": {},
                **({"span_id": span} if span else {}),
                **({"parent_span_id": parent} if parent else {}),
                **({"dedup_key": f"k{dedup}"} if dedup else {}),
            }
            self.log.append(Stored(offset, event_key(trace), orjson.dumps(event)))

    def fold(self, end: int) -> None:
        begin, self.folded_to = self.folded_to, end
        folded = fold_records(self.log[begin:end], self.table.states, 0)
        self.table.idle.folded(folded.touched, self.now)
        shown = step_records(folded.steps)
        shown += [summary_record(key, state) for key, state in folded.touched.items()]
        mark = mark_at(self.log, end - 1)
        note = self.kafka.ledger.note(end, mark)
        outputs = self.kafka.queue(SUMMARIES, 0, announced(shown, begin, note, watermark_record))
        outputs += self.table.queue_changelog(0, folded.begun, folded.changelog, begin, note, tuple(outputs))
        self.kafka.ledger.settle(end, outputs, mark)

    @rule()
    def commit(self) -> None:
        committable = self.kafka.ledger.committable()
        if committable is not None:
            self.committed, self.note = committable, decode_note(self.kafka.ledger.commit_note(committable))
            self.kafka.ledger.commit_accepted(committable)

    @rule(passed_s=st.integers(0, 2), most_live=st.integers(1, 2), crash=st.booleans(), data=st.data())
    def evict(self, passed_s: int, most_live: int, crash: bool, data: st.DataObject) -> None:
        """The agent folds nothing before the eviction is over; it may also die in it."""
        self.now += passed_s
        self.evict_idle(most_live, (lambda: self.crash(data)) if crash else None)

    def evict_idle(self, most_live: int, die: Callable[[], None] | None = None) -> None:
        """The idle traces, or as many as are beyond `most_live`; then `die`, before it is acknowledged."""
        before = len(self.kafka.waiting)
        rule = EvictionRule(1, most_live)
        eviction = Eviction(
            lambda: self.kafka, lambda: self.kafka, self.table, Topics("unit-"), rule, clock=lambda: self.now
        )
        evicting = self.loop.create_task(eviction.make_room())
        self.loop.run_until_complete(asyncio.sleep(0))
        queued = self.kafka.waiting[before:]
        assert set(queued) <= set(self.kafka.ledger.pending()), "a rebalance would not wait for it"
        assert not (queued and evicting.done()), "an event could be folded before the tombstone is stored (I15)"
        if die is not None:
            evicting.cancel()
            die()
        while not evicting.done():
            self.kafka.acknowledge()
            self.loop.run_until_complete(asyncio.sleep(0))
        if die is None:
            evicting.result()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """What was not acknowledged may have reached Kafka, up to any record of either topic."""
        for topic, records in self.kafka.topics.items():
            del records[data.draw(st.integers(self.kafka.acknowledged[topic], len(records)), label=topic) :]
        self.recover()

    @invariant()
    def every_live_trace_can_become_idle(self) -> None:
        assert len(self.table.idle) == len(self.table.states)

    def teardown(self) -> None:
        if self.folded_to < len(self.log):
            self.fold(len(self.log))
        self.kafka.acknowledge()
        self.loop.close()
        self.check_summaries()
        compacted = {key: value for key, value, *_ in self.kafka.topics[CHANGELOG]}
        kept = {key for key, value in compacted.items() if value is not None}
        assert {key for key in kept if not is_page_key(key)} == self.table.states.keys()

    def check_summaries(self) -> None:
        check_segments(self.log, summaries_in(self.kafka.topics[SUMMARIES]))
        check_steps(self.log, self.kafka.topics[SUMMARIES])


def mark_at(log: Sequence[Stored], offset: int) -> RecordMark | None:
    return RecordMark(offset, str(hash(log[offset].value))) if offset >= 0 else None


def summaries_in(records: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [orjson.loads(value) for key, value, *_ in records if key != WATERMARK_KEY and not is_step_key(key)]


def check_steps(log: list[Stored], said: Iterable[tuple[Any, ...]]) -> None:
    """The steps, each as it was said last, are those of a recomputation of each segment from its events."""
    records = list(said)
    steps: dict[bytes, StepRecord] = {}
    for key, value, *_ in records:
        if is_step_key(key):
            step = decode_step(value)
            if key not in steps or step.version >= steps[key].version:
                steps[key] = step
    segments: dict[tuple[bytes, int], int] = {}
    for summary in summaries_in(records):
        segment = (state_key(summary["tenant_id"], summary["trace_id"]), summary["first_offset"])
        segments[segment] = max(segments.get(segment, -1), summary["last_offset"])
    true: dict[bytes, StepRecord] = {}
    for (key, first), last in segments.items():
        own = [
            (record.offset, event)
            for record in log[first : last + 1]
            if key == state_key("1", (event := event_of(record))["trace_id"])
        ]
        true |= recomputed_steps(own)
    assert steps == true


def event_of(record: Stored) -> dict[str, Any]:
    return orjson.loads(record.value or b"")


def check_segments(log: list[Stored], summaries: list[dict[str, Any]]) -> None:
    """The segments of a trace cover its events without overlap, each as recomputed from its own events."""
    latest: dict[tuple[bytes, int], dict[str, Any]] = {}
    for summary in summaries:
        segment = (state_key(summary["tenant_id"], summary["trace_id"]), summary["first_offset"])
        if summary["last_offset"] >= latest.get(segment, {"last_offset": -1})["last_offset"]:
            latest[segment] = summary
    traces: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for record in log:
        event = orjson.loads(record.value or b"")
        traces.setdefault(state_key("1", event["trace_id"]), []).append((record.offset, event))
    for key, events in traces.items():
        segments = sorted((first, summary) for (of, first), summary in latest.items() if of == key)
        covered: list[tuple[int, dict[str, Any]]] = []
        for first, summary in segments:
            own = [(offset, event) for offset, event in events if first <= offset <= summary["last_offset"]]
            covered += own
            truth = recomputed_summary(own)
            exact = summary.pop("exact")
            assert exact == (not may_be_inexact(own)), "only a first error out of order may make a segment inexact"
            if not exact:
                truth["first_error_step"] = summary["first_error_step"]
            assert summary == truth
        assert covered == events, "an event is in no segment, or in two"
        assert len(kept_events(covered)) == len(kept_events(events))


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_ids, "PAGE_BYTES", 3 * remembered_ids.ID_BYTES)
    monkeypatch.setattr(settle_ledger, "REACH", 6)


TestEvictionMachine = EvictionMachine.TestCase
TestEvictionMachine.settings = hypothesis_settings(stateful_step_count=40)

"""A model of the ledger: any order of batches, outcomes, crashes, rebalances and rewinds keeps each row single."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from aiokafka import TopicPartition
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from memory_table import CrashError, MemoryTable, Outcome, Place
from test_event_store import PARTITIONS, SMALL, InstantOwnership, RememberedLetters, judged

from axonstream.sinks.events.event_store import EventStore
from axonstream.sinks.offsets.offset_ledger import OffsetLedger
from kit.sample_events import event_record

LOG_LENGTH = 40
POISON: set[Place] = {(0, 7), (1, 13), (1, 14)}


class LedgerMachine(RuleBasedStateMachine):
    """The log, the committed offsets and the table outlive every sink."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []
        self.table = MemoryTable(self._next_outcome, POISON, rows_are_named=False)
        self.letters = RememberedLetters()
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.start_sink()

    def _next_outcome(self) -> Outcome:
        return self.outcomes.pop(0) if self.outcomes else Outcome.STORED

    @rule()
    def start_sink(self) -> None:
        """A crash, a restart or a rebalance: what the sink knew is gone, and its running INSERTs are killed."""
        asyncio.run(self.table.kill("events_log", PARTITIONS))
        self.position = dict(self.committed)
        ledgers = {p: OffsetLedger(c, self.table.ceiling(p, c)) for p, c in self.committed.items()}
        parts: Any = {"client": self.table, "writer": self.table, "dead_letters": self.letters}
        self.store = EventStore(settings=SMALL, ownership=InstantOwnership(), epoch=1, ledgers=ledgers, **parts)

    @rule(
        sizes=st.tuples(st.integers(0, 6), st.integers(0, 6)),
        outcomes=st.lists(st.sampled_from(Outcome), max_size=5),
        commits=st.booleans(),
    )
    def flush(self, sizes: tuple[int, int], outcomes: list[Outcome], commits: bool) -> None:
        """One batch; the commit may fail, and then nothing is remembered of it but the rows."""
        batch = [
            event_record(p, offset)
            for p, size in zip(PARTITIONS, sizes, strict=True)
            for offset in range(self.position[p], min(LOG_LENGTH, self.position[p] + size))
        ]
        self.outcomes = list(outcomes)
        try:
            asyncio.run(self.store.store(judged(batch)))
        except CrashError:
            self.start_sink()
            return
        finally:
            self.outcomes = []
        for p, last in {record.partition: record.offset for record in batch}.items():
            offset = self.store.committable(TopicPartition("agent-events", p), last).offset
            self.position[p] = last + 1
            if commits:
                self.committed[p] = offset
        if not commits:
            self.start_sink()

    @rule(partition=st.sampled_from(PARTITIONS), back=st.integers(1, 10))
    def rewind(self, partition: int, back: int) -> None:
        """A person sets the committed offset back, with the sinks stopped."""
        self.committed[partition] = max(0, self.committed[partition] - back)
        self.start_sink()

    @invariant()
    def no_row_is_stored_twice(self) -> None:
        assert not [place for place, count in self.table.rows.items() if count > 1]

    @invariant()
    def what_is_committed_is_stored_or_dead_lettered(self) -> None:
        settled = {(p, offset) for p in PARTITIONS for offset in range(self.committed[p])}
        assert settled <= self.table.rows.keys() | self.letters.places

    @invariant()
    def only_what_is_poisoned_is_dead_lettered(self) -> None:
        assert self.letters.places <= POISON
        assert not self.letters.places & self.table.rows.keys()

    def teardown(self) -> None:
        """A quiet sink reads the rest of the log: then everything is stored once."""
        self.outcomes = []
        self.start_sink()
        for _ in range(LOG_LENGTH):
            self.flush((5, 5), [], True)
        everything = {(p, offset) for p in PARTITIONS for offset in range(LOG_LENGTH)}
        assert self.table.rows == Counter(everything - POISON)
        assert self.letters.places == POISON


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(deadline=None, stateful_step_count=20)

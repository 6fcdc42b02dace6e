"""Each record is stored exactly once, or dead-lettered, whatever INSERT ends how and wherever the process dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_table import CrashError, MemoryTable, Outcome, Place

from axonstream.kafka.lease import Lease
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.events.event_store import EventStore
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.offset_ledger import OffsetLedger
from kit.sample_events import Record, event_record

PARTITIONS: tuple[int, ...] = (0, 1)
CRASH_BEFORE_COMMIT = "crash before commit"
DRAWN: int = settings().max_examples  # of the profile: few in `make quick`
SMALL = Settings(sink_max_rows=3)


class InstantOwnership(Ownership):
    """Never revoked, and its pauses take no time."""

    def __init__(self) -> None:
        lease = Lease(1e9)
        lease.renew(0)
        super().__init__((), lease)

    async def pause(self, seconds: float) -> None:
        self.check()


def judged(records: Sequence[Record]) -> EventBatch:
    batch = EventBatch(1)
    for partition in {record.partition: None for record in records}:
        batch.add([record for record in records if record.partition == partition])
    return batch


class RememberedLetters:
    def __init__(self) -> None:
        self.places: set[Place] = set()

    async def put(self, letters: Sequence[DeadLetter], epoch: int, ownership: Ownership) -> None:
        self.places |= {(letter.partition, letter.offset) for letter in letters}


class Simulation:
    """A log of each partition, the committed offsets, and a sink that dies and starts again."""

    def __init__(self, table: MemoryTable, length: int, settings: Settings = SMALL) -> None:
        self.table = table
        self._settings = settings
        self.length = length
        self.letters = RememberedLetters()
        self.committed = dict.fromkeys(PARTITIONS, 0)

    async def start(self) -> EventStore:
        await self.table.kill("events_log", PARTITIONS)
        ledgers = {p: OffsetLedger(c, self.table.ceiling(p, c)) for p, c in self.committed.items()}
        parts: Any = {"client": self.table, "writer": self.table, "dead_letters": self.letters}
        return EventStore(settings=self._settings, ownership=InstantOwnership(), epoch=1, ledgers=ledgers, **parts)

    async def run(self, sizes: Sequence[int], crash_before_commit: Sequence[bool]) -> None:
        store, position = await self.start(), dict(self.committed)
        turn = 0
        while any(offset < self.length for offset in position.values()):
            size = sizes[turn % len(sizes)]
            batch = [
                event_record(p, offset)
                for p in PARTITIONS
                for offset in range(position[p], min(self.length, position[p] + size))
            ]
            crash = turn < len(crash_before_commit) and crash_before_commit[turn]
            turn += 1
            try:
                await store.store(judged(batch))
                if crash:
                    raise CrashError
            except CrashError:
                store, position = await self.start(), dict(self.committed)
                continue
            for p, last in {record.partition: record.offset for record in batch}.items():
                self.committed[p] = store.committable(TopicPartition("agent-events", p), last).offset
                position[p] = last + 1


@settings(deadline=None, max_examples=3 * DRAWN)
@given(
    length=st.integers(1, 12),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    outcomes=st.lists(st.sampled_from(Outcome), max_size=20),
    crash_before_commit=st.lists(st.booleans(), max_size=6),
    poison=st.sets(st.tuples(st.sampled_from(PARTITIONS), st.integers(0, 11)), max_size=4),
    rows_are_named=st.booleans(),
)
def test_every_record_is_stored_once_or_dead_lettered(
    length: int,
    sizes: list[int],
    outcomes: list[Outcome],
    crash_before_commit: list[bool],
    poison: set[Place],
    rows_are_named: bool,
) -> None:
    left = iter(outcomes)
    table = MemoryTable(lambda: next(left, Outcome.STORED), poison, rows_are_named=rows_are_named)
    simulation = Simulation(table, length)
    asyncio.run(simulation.run(sizes, crash_before_commit))

    everything = {(p, offset) for p in PARTITIONS for offset in range(length)}
    assert simulation.letters.places == poison & everything
    assert table.rows == Counter(everything - poison)
    assert simulation.committed == dict.fromkeys(PARTITIONS, length)


@pytest.mark.slow
def test_every_single_crash_point_of_two_batches() -> None:
    crashes = [outcome for outcome in Outcome if outcome is not Outcome.STORED]
    for point in range(6):
        for outcome in crashes:
            for again in (Outcome.STORED, *crashes):
                left = iter([*[Outcome.STORED] * point, outcome, again])
                table = MemoryTable(lambda left=left: next(left, Outcome.STORED), set(), rows_are_named=True)
                simulation = Simulation(table, 8)
                asyncio.run(simulation.run([4], [False, True]))
                assert table.rows == Counter({(p, offset): 1 for p in PARTITIONS for offset in range(8)})


@pytest.mark.slow
def test_a_batch_of_many_rows_that_clickhouse_names_one_by_one_is_stored_but_for_them() -> None:
    length = 1000
    poison: set[Place] = {(0, offset) for offset in range(0, length, 2)}
    table = MemoryTable(lambda: Outcome.STORED, poison, rows_are_named=True)
    simulation = Simulation(table, length, Settings())
    asyncio.run(simulation.run([length], []))
    assert simulation.letters.places == poison
    everything = {(p, offset) for p in PARTITIONS for offset in range(length)}
    assert table.rows == Counter(everything - poison)


def test_a_record_that_is_no_event_is_dead_lettered_and_its_neighbours_are_stored() -> None:
    table = MemoryTable(lambda: Outcome.STORED, set(), rows_are_named=True)
    simulation = Simulation(table, 3)
    good = [event_record(0, 0), event_record(0, 2)]
    bad = Record("agent-events", 0, 1, b"tr_0", b"{not json")

    async def story() -> None:
        store = await simulation.start()
        await store.store(judged([good[0], bad, good[1]]))

    asyncio.run(story())
    assert simulation.letters.places == {(0, 1)}
    assert cast("dict[Place, int]", table.rows) == {(0, 0): 1, (0, 2): 1}

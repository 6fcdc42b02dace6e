"""Refused rows are dead letters when others are taken, and a reason to stop when none is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from memory_table import MemoryTable, Outcome, Place
from test_event_store import Simulation

from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.errors import TableRefusesError
from axonstream.sinks.events.refusals import Refusals
from kit.sample_events import event_record

STRICT = Settings(max_refused_in_a_row=20)


def run(length: int, poison: set[Place], sizes: list[int], *, named: bool = True) -> Simulation:
    simulation = Simulation(MemoryTable(lambda: Outcome.STORED, poison, rows_are_named=named), length, STRICT)
    asyncio.run(simulation.run(sizes, []))
    return simulation


@pytest.mark.parametrize("named", [True, False])
def test_a_table_that_refuses_every_row_makes_no_dead_letters(named: bool) -> None:
    poison: set[Place] = {(p, offset) for p in (0, 1) for offset in range(500)}
    table = MemoryTable(lambda: Outcome.STORED, poison, rows_are_named=named)
    simulation = Simulation(table, 500, STRICT)
    with pytest.raises(TableRefusesError, match="AXONSTREAM_MAX_REFUSED_IN_A_ROW"):
        asyncio.run(simulation.run([500], []))
    assert (simulation.letters.places, simulation.committed, table.rows) == (set(), {0: 0, 1: 0}, Counter())


def test_a_view_that_refuses_rows_which_the_table_has_makes_no_dead_letters() -> None:
    table = MemoryTable(lambda: Outcome.STORED_AND_REFUSED, set(), rows_are_named=False)
    simulation = Simulation(table, 100, STRICT)
    asyncio.run(simulation.run([1], []))
    assert (simulation.letters.places, set(table.rows.values()), len(table.rows)) == (set(), {1}, 200)


@pytest.mark.parametrize("named", [True, False])
def test_many_bad_rows_before_good_ones_are_dead_letters(named: bool) -> None:
    poison: set[Place] = {(0, offset) for offset in range(300)}
    simulation = run(400, poison, [400], named=named)
    assert simulation.letters.places == poison
    assert simulation.committed == {0: 400, 1: 400}


def test_small_batches_are_judged_together() -> None:
    poison: set[Place] = {(p, offset) for p in (0, 1) for offset in range(100)}
    simulation = Simulation(MemoryTable(lambda: Outcome.STORED, poison, rows_are_named=True), 100, STRICT)
    with pytest.raises(TableRefusesError):
        asyncio.run(simulation.run([1], []))
    assert len(simulation.letters.places) < STRICT.max_refused_in_a_row


def test_a_row_that_is_taken_begins_the_count_anew() -> None:
    refusals = Refusals(2)
    left: list[Sequence[int]] = [[1, 2, 3]]
    letter = DeadLetter.of(event_record(0, 0), "no")
    for _ in range(3):
        refusals.refused(letter)
        assert refusals.next_tries([*left]) == left
        refusals.taken()
    refusals.refused(letter)
    refusals.refused(letter)
    assert refusals.next_tries([*left]) == [[3], [2], [1]], "each alone: one that is taken clears the table"
    assert len(refusals.to_put()) == 5
    assert refusals.to_put() == []

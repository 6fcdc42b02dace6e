"""What may be committed, whatever the order in which output is acknowledged; and that a lost chunk is noticed."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.settle_ledger import REACH, SettleLedger


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@given(
    start=st.integers(0, 100),
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=12),
    data=st.data(),
)
def test_never_past_the_first_unacknowledged_output(
    loop: asyncio.AbstractEventLoop, start: int, sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    ledger = SettleLedger(start, 0)
    settled: list[tuple[int, list[Future[Any]]]] = []
    position = start
    for records, outputs in sizes:
        base = ledger.fetched(position, position + records - 1)
        ledger.claim(base)
        position += records
        futures = [loop.create_future() for _ in range(outputs)]
        settled.append((position, futures))
        ledger.settle(position, futures)
    waiting = [future for _, futures in settled for future in futures]
    for future in data.draw(st.permutations(waiting)):
        future.set_result(None)
        committable = None
        for end, futures in settled:
            if not all(output.done() for output in futures):
                break
            committable = end
        assert ledger.committable() == committable
        assert set(ledger.pending()) == {output for output in waiting if not output.done()}
    assert ledger.committable() == position
    assert ledger.backlog == 0


@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=10), gap=st.integers(0, 3), lost=st.integers(0, 8))
def test_a_chunk_that_is_lost_before_the_agent_stops_the_next_one(sizes: list[int], gap: int, lost: int) -> None:
    """Also where transaction markers leave gaps between the records, and whichever chunk it is, the first included."""
    ledger = SettleLedger(0, 0)
    lost %= len(sizes) - 1
    position = gap
    for number, records in enumerate(sizes):
        base = ledger.fetched(position, position + records - 1)
        position += records + gap
        if number < lost:
            ledger.claim(base)
            ledger.settle(position - gap, [])
        elif number > lost:
            with pytest.raises(BrokenInvariantError, match="one was lost"):
                ledger.claim(base)
            return


def test_a_chunk_that_was_put_back_and_fetched_again_is_fine() -> None:
    ledger = SettleLedger(10, 0)
    ledger.fetched(10, 14)
    base = ledger.fetched(10, 19)
    ledger.claim(base)
    assert base == 10


def test_a_chunk_that_was_put_back_but_not_fetched_again_is_missed() -> None:
    ledger = SettleLedger(10, 0)
    ledger.fetched(10, 14)
    with pytest.raises(BrokenInvariantError):
        ledger.claim(ledger.fetched(15, 19))


def test_chunks_that_come_again_do_not_move_the_position_back() -> None:
    ledger = SettleLedger(0, 0)
    ledger.settle(10, [])
    ledger.claim(3)
    ledger.settle(8, [])
    assert ledger.committable() == 10
    ledger.claim(10)


@pytest.mark.parametrize("failure", ["error", "cancelled"])
def test_output_that_failed_stops_everything_after_it(loop: asyncio.AbstractEventLoop, failure: str) -> None:
    ledger = SettleLedger(0, 0)
    failed: Future[Any] = loop.create_future()
    ledger.settle(5, [failed])
    ledger.settle(9, [])
    if failure == "error":
        failed.set_exception(OSError("broker away"))
    else:
        failed.cancel()
    with pytest.raises(BrokenInvariantError, match="below 5"):
        ledger.committable()


def test_nothing_is_final_before_all_is_committed_that_an_earlier_life_may_have_folded() -> None:
    ledger = SettleLedger(10, log_end=20)
    ledger.commit_accepted(19)
    assert ledger.final_below == 0
    ledger.commit_accepted(20)
    assert ledger.final_below == 20
    backlog = SettleLedger(0, log_end=10 * REACH)
    backlog.commit_accepted(REACH - 1)
    assert backlog.final_below == 0
    backlog.commit_accepted(REACH)
    assert backlog.final_below == REACH


def test_what_is_committable_is_not_final_before_the_broker_has_it() -> None:
    ledger = SettleLedger(0, log_end=0)
    ledger.settle(5, [])
    assert ledger.committable() == 5
    assert ledger.final_below == 0


def test_output_that_is_owed_beside_chunks_holds_up_what_follows(loop: asyncio.AbstractEventLoop) -> None:
    ledger = SettleLedger(0, 0)
    owed: Future[Any] = loop.create_future()
    ledger.settle(3, [])
    ledger.owe([owed])
    ledger.settle(5, [])
    assert ledger.committable() == 3
    assert list(ledger.pending()) == [owed]
    owed.set_result(None)
    assert ledger.committable() == 5

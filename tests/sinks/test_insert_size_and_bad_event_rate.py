"""How much is inserted at a time, and how many bad events a minute are borne."""

from __future__ import annotations

from axonstream.sinks.dead_letters.bad_event_rate import BadEventRate
from axonstream.sinks.writing.insert_size import InsertSize


def test_an_insert_that_ran_out_of_time_is_halved_down_to_one_row() -> None:
    size = InsertSize(100, timeout_s=5)
    sizes: list[int] = []
    for _ in range(8):
        size.out_of_time(size.rows)
        sizes.append(size.rows)
    assert sizes == [50, 25, 12, 6, 3, 1, 1, 1]


def test_a_small_batch_that_ran_out_of_time_is_halved_and_not_the_limit() -> None:
    size = InsertSize(100, timeout_s=5)
    size.out_of_time(8)
    assert size.rows == 4


def test_it_grows_back_while_full_inserts_take_less_than_half_of_their_time() -> None:
    size = InsertSize(100, timeout_s=5)
    size.out_of_time(80)
    size.went_through(40, 2.6)
    assert size.rows == 40, "the double of it would not fit"
    size.went_through(39, 0.1)
    assert size.rows == 40, "a smaller one says nothing of larger ones"
    size.went_through(40, 2.4)
    size.went_through(80, 0.1)
    assert size.rows == 100


def test_bad_events_are_borne_up_to_the_limit_of_any_minute() -> None:
    rate = BadEventRate(10)
    assert rate.admits(6, now=0)
    assert rate.admits(4, now=30)
    assert not rate.admits(1, now=59)
    assert rate.admits(6, now=60)
    assert not rate.admits(1, now=89)
    assert not BadEventRate(10).admits(11, now=0)

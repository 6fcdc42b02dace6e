from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.event_ids import EventIds
from axonstream.event_contract import MAX_ID

TIMES = st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=50)


@given(TIMES)
def test_ids_of_one_process_always_rise_and_fit_63_bits(times: list[int]) -> None:
    ids = EventIds()
    made = [ids.next(now) for now in times]
    assert made == sorted(set(made))
    assert all(0 <= each <= MAX_ID for each in made)


def test_a_later_millisecond_gives_a_higher_id_in_another_process() -> None:
    assert EventIds().next(1_780_000_000_000) < EventIds().next(1_780_000_000_001)

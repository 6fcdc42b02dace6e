"""The first offset from which on the log is not what is stored, whatever is missing on either side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axonstream.sinks.starting.common_part import Comparison, Stored


def found(log: list[str], stored: dict[int, str], window: int, high: int) -> int:
    """As `common_end`, in memory."""
    comparison, last = Comparison(), high - 1
    while last >= 0:
        first = max(0, last - window + 1)
        in_log: dict[int, list[Stored]] = {at: [(log[at],)] for at in range(first, min(last + 1, len(log)))}
        rows: dict[int, list[Stored]] = {at: [(stored[at],)] for at in range(first, last + 1) if at in stored}
        if comparison.add(in_log, rows):
            break
        last = first - 1
    return min(0 if comparison.result is None else comparison.result, high, len(log))


@given(
    st.integers(0, 30),
    st.integers(0, 10),
    st.integers(0, 10),
    st.sets(st.integers(0, 40)),
    st.integers(1, 12),
)
def test_what_is_stored_and_gone_is_never_taken_for_what_the_log_has(
    common: int, lost: int, new: int, holes: set[int], window: int
) -> None:
    log = [f"c{at}" for at in range(common)] + [f"n{at}" for at in range(new)]
    old = [f"c{at}" for at in range(common)] + [f"o{at}" for at in range(lost)]
    stored = {at: text for at, text in enumerate(old) if at not in holes}
    since = found(log, stored, window, len(old))
    assert since <= min(common, len(log))
    known = [at for at in range(common) if at in stored]
    assert since == (max(known) + 1 if known else 0), "and no record is read again that is known to be stored"


def test_an_event_that_was_published_again_at_its_old_offset_does_not_hide_what_is_below_it() -> None:
    assert found(["a", "new", "b"], {0: "a", 1: "lost", 2: "b"}, window=10, high=3) == 1

"""Who is evicted: the longest idle first, nobody who may not go, and no more than it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axonstream.stream_processors import idle_order
from axonstream.stream_processors.idle_order import EvictionRule, IdleOrder

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])


def everyone(_key: bytes) -> bool:
    return True


@given(
    folds=st.lists(st.tuples(KEYS, st.integers(0, 4)), max_size=30),
    blocked=st.sets(KEYS),
    idle_s=st.integers(1, 20),
    most_live=st.integers(1, 6),
    most=st.integers(1, 4),
)
def test_the_choice_is_the_longest_idle_of_those_that_may_go(
    folds: list[tuple[bytes, int]], blocked: set[bytes], idle_s: int, most_live: int, most: int
) -> None:
    order, now = IdleOrder(), 0
    last: dict[bytes, int] = {}
    for key, passed in folds:
        now += passed
        order.folded([key], now)
        last.pop(key, None)
        last[key] = now
    rule = EvictionRule(idle_s, most_live)
    chosen = order.choose(rule, now, lambda key: key not in blocked, most)
    may_go = [key for key in last if key not in blocked]
    idle = [key for key in may_go if last[key] <= now - idle_s]
    wanted = max(len(idle), min(len(may_go), len(last) - most_live))
    assert chosen == may_go[: min(wanted, most)]
    if chosen:
        assert order.due(rule, now)
    if not order.due(rule, now):
        assert not order.choose(rule, now, everyone, most)


def test_an_event_makes_its_trace_the_last_to_go() -> None:
    order, rule = IdleOrder(), EvictionRule(idle_s=10, most_live=100)
    order.folded([b"a", b"b"], 0)
    order.folded([b"a"], 5)
    assert order.choose(rule, 12, everyone, 10) == [b"b"]
    order.forget(b"b")
    assert not order.due(rule, 12)
    assert order.choose(rule, 15, everyone, 10) == [b"a"]
    order.keep_only({})
    assert len(order) == 0


def test_traces_that_must_stay_do_not_make_a_choice_long() -> None:
    order = IdleOrder()
    order.folded([b"%d" % number for number in range(3 * idle_order.LOOKS_PER_CHOICE)], 0)
    asked: list[bytes] = []

    def nobody(key: bytes) -> bool:
        asked.append(key)
        return False

    assert order.choose(EvictionRule(1, 1), 10, nobody, 5) == []
    assert len(asked) == idle_order.LOOKS_PER_CHOICE + 5

"""Whom to forget: live traces in the order in which they were last folded, and the choice among them. Pure.

A trace is idle since this worker last folded an event of it, by this worker's clock, and not since the time that its
events carry: reading an old backlog cuts no trace into segments, and a sender whose clock is years off evicts nobody.
What a recovery brings in counts as folded then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from itertools import islice

LOOKS_PER_CHOICE = 10_000  # at traces that must stay; they are few: what one commit interval folded


@dataclass(frozen=True, slots=True)
class EvictionRule:
    """Evict what was idle for `idle_s`, and of more than `most_live` traces those that were idle longest."""

    idle_s: float
    most_live: int


class IdleOrder:
    """The keys of live traces, longest idle first, each with the time of its last fold in s. O(1) a key."""

    def __init__(self) -> None:
        self._folded_at: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._folded_at)

    def folded(self, keys: Iterable[bytes], now: float) -> None:
        """An event of each of `keys` was folded at `now`, which is no earlier than in any call before."""
        folded_at, to_the_end = self._folded_at, self._folded_at.move_to_end
        for key in keys:
            folded_at[key] = now
            to_the_end(key)

    def forget(self, key: bytes) -> None:
        self._folded_at.pop(key, None)

    def keep_only(self, live: Container[bytes]) -> None:
        """O(n): forget every key that is not in `live`."""
        for key in [key for key in self._folded_at if key not in live]:
            del self._folded_at[key]

    def due(self, rule: EvictionRule, now: float) -> bool:
        """Whether `choose` could find any; cheap enough to ask after every chunk."""
        longest = next(iter(self._folded_at.values()), now)
        return len(self._folded_at) > rule.most_live or (bool(self._folded_at) and longest <= now - rule.idle_s)

    def choose(self, rule: EvictionRule, now: float, may_go: Callable[[bytes], bool], most: int) -> list[bytes]:
        """At most `most` keys to evict, the longest idle first; one that may not go yet is passed over."""
        excess = len(self._folded_at) - rule.most_live
        chosen: list[bytes] = []
        for key, folded_at in islice(self._folded_at.items(), most + LOOKS_PER_CHOICE):
            if len(chosen) == most or (folded_at > now - rule.idle_s and len(chosen) >= excess):
                break
            if may_go(key):
                chosen.append(key)
        return chosen

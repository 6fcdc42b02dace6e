"""How long the oldest event has waited that is not stored, or not in a stored summary: plain state over offsets.

A look says where each partition ends, and how far it is read. An event is as old as the first look at which its
partition ended above it, so a lag is told to the time from one look to the next, never too high, and by one clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STANDS_S = 30.0  # beyond a restart of a worker, a rebalance or an INSERT that is tried again
_MOST_LOOKS = 1024
_TRUE_TO = 0.02  # of an age: looks that are nearer to each other are not both kept


class Progress(NamedTuple):
    """The offset below which a partition's events are stored, and the one below which they are in stored summaries."""

    events: int
    summaries: int


class _Look(NamedTuple):
    at: float
    ends: Mapping[int, int]


class LagHistory:
    """What the looks saw; times are seconds of one clock. Of looks that are long past only some are kept."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []
        self._progress: Mapping[int, Progress] = {}
        self._began: dict[tuple[int, int], float] = {}  # partition and offset -> when its event came, from elsewhere
        self._stuck: dict[tuple[int, str], tuple[int, float]] = {}

    def see(self, now: float, ends: Mapping[int, int], progress: Mapping[int, Progress]) -> None:
        """One look; `ends` were asked for before `progress`."""
        if self._looks and any(end < self._looks[-1].ends.get(partition, 0) for partition, end in ends.items()):
            self._looks.clear()  # another log
            self._stuck.clear()
        self._looks.append(_Look(now, ends))
        if len(self._looks) > _MOST_LOOKS:
            self._looks = _thinned(self._looks)
        self._progress = progress
        waiting = set(self._waiting())
        self._began = {place: at for place, at in self._began.items() if place in waiting}
        stuck: dict[tuple[int, str], tuple[int, float]] = {}
        for partition, read in progress.items():
            for of, offset in read._asdict().items():
                if offset < ends.get(partition, 0):
                    before, since = self._stuck.get((partition, of), (-1, now))
                    stuck[partition, of] = offset, since if before == offset else now
        self._stuck = stuck

    def _waiting(self) -> list[tuple[int, int]]:
        ends = self._looks[-1].ends
        return [(p, offset) for p, read in self._progress.items() for offset in {*read} if offset < ends.get(p, 0)]

    def older_than_all_looks(self) -> list[tuple[int, int]]:
        """Partition and offset of waiting events that the first look saw waiting, and of which no time is known."""
        if len(self._looks) < 2:
            return []
        first = self._looks[0].ends
        return [place for place in self._waiting() if place[1] < first.get(place[0], 0) and place not in self._began]

    def came(self, partition: int, offset: int, at: float) -> None:
        """That event came at `at`; a time after the first look is a clock's error, and counts for nothing."""
        self._began[partition, offset] = min(at, self._looks[0].at)

    def lag_s(self, of: str) -> float:
        """Of the partition that is behind most: `of` events or summaries."""
        if not self._looks:
            return 0.0
        now = self._looks[-1].at
        return max((now - self._came(p, getattr(read, of)) for p, read in self._progress.items()), default=0.0)

    def _came(self, partition: int, offset: int) -> float:
        if (known := self._began.get((partition, offset))) is not None:
            return known
        return next((look.at for look in self._looks if look.ends.get(partition, 0) > offset), self._looks[-1].at)

    def standing(self) -> tuple[float, list[int]]:
        """For how long something waits that did not move, and the partitions where that is STANDS_S or longer."""
        if not self._stuck:
            return 0.0, []
        now = self._looks[-1].at
        longest = now - min(since for _, since in self._stuck.values())
        return longest, sorted({p for (p, _), (_, since) in self._stuck.items() if now - since >= STANDS_S})


def _thinned(looks: list[_Look]) -> list[_Look]:
    now = looks[-1].at
    kept = looks[:1]
    for look in looks[1:]:
        if look.at - kept[-1].at > _TRUE_TO * (now - look.at):
            kept.append(look)
    return kept

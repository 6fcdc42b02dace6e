"""Which reads may answer yet: plain state over offsets, without I/O, clock or tasks (guarantee G4).

A read may answer once visible(p) has passed the end that partition p had after the read began:

1. a read asks for its partitions, and no end of theirs is told yet;
2. `tell` gives it the ends that were asked for after the read began, and no other: an answer to an earlier question
   may be older than the read. Each partition has its own leader, so they may be told one after the other;
3. `release` hands back the reads of which every end is told and reached by visible(p), and forgets them;
4. `give_up` hands back the reads that wait for nothing but partitions whose leaders are silent, and forgets them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol


class AskedEnd(Protocol):
    """Where a partition ends, by an answer to what was asked after the moment `asked_at`."""

    @property
    def end(self) -> int: ...
    @property
    def asked_at(self) -> float: ...


class WaitingRead:
    """One read, and the offsets that visible(p) must reach: `untold` are its partitions without one.

    `is_patient`: it waits for a silent leader for as long as it may wait at all.
    """

    def __init__(self, partitions: Iterable[int], began: float, *, is_patient: bool) -> None:
        self.began = began
        self.is_patient = is_patient
        self.untold = set(partitions)
        self.targets: dict[int, int] = {}
        self.was_asked_for = False  # Kafka has answered since it began, if not of its partitions


class ReadBarrier:
    """The reads that wait."""

    def __init__(self) -> None:
        self._waiting: dict[WaitingRead, None] = {}

    def ask(self, partitions: Iterable[int], began: float, *, is_patient: bool = True) -> WaitingRead:
        """A read of `partitions` begins now."""
        read = WaitingRead(partitions, began, is_patient=is_patient)
        self._waiting[read] = None
        return read

    def forget(self, read: WaitingRead) -> None:
        """The read no longer waits; forgetting twice is harmless."""
        self._waiting.pop(read, None)

    def __len__(self) -> int:
        return len(self._waiting)

    def untold(self) -> set[int]:
        """The partitions of which a read still needs to know the end."""
        return {partition for read in self._waiting for partition in read.untold}

    def has_new(self) -> bool:
        """Whether a read waits for its first answer."""
        return any(not read.was_asked_for for read in self._waiting)

    def tell(self, ends: Mapping[int, AskedEnd], asked_at: float) -> None:
        """What a round of questions that began at `asked_at` brought; some answers may be to older questions."""
        for read in self._waiting:
            read.was_asked_for = read.was_asked_for or read.began < asked_at
            for partition in [one for one in read.untold if one in ends and read.began < ends[one].asked_at]:
                read.targets[partition] = ends[partition].end
                read.untold.discard(partition)

    def release(self, visible: Mapping[int, int]) -> list[WaitingRead]:
        """The reads that may answer now that everything below visible(p) can be read."""
        return self._taken(lambda read: not read.untold and _reached(read.targets, visible))

    def give_up(self, visible: Mapping[int, int], silent: Collection[int]) -> list[WaitingRead]:
        """The impatient reads that lack nothing but what `silent` partitions hold."""
        return self._taken(
            lambda read: (
                read.was_asked_for
                and not read.is_patient
                and read.untold <= set(silent)
                and _reached(read.targets, visible)
            )
        )

    def _taken(self, may_go: Callable[[WaitingRead], bool]) -> list[WaitingRead]:
        ready = [read for read in self._waiting if may_go(read)]
        for read in ready:
            self.forget(read)
        return ready


def _reached(targets: Mapping[int, int], visible: Mapping[int, int]) -> bool:
    return all(visible.get(p, 0) >= end for p, end in targets.items())

"""Which reads may answer yet: plain state over offsets, without I/O, clock or tasks (guarantee G4).

A read may answer once visible(p) has passed the end that partition p had after the read began:

1. a read asks for its partitions and has no target yet;
2. `begin_round` names the reads whose targets the coming question for end offsets will settle. A read that asks while
   that question is on its way is not among them: the answer may be older than the read;
3. `set_targets` gives exactly those reads the end offsets that were answered;
4. `release` hands back the reads whose every target visible(p) has reached, and forgets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class WaitingRead:
    """One read, and the offset that visible(p) must reach for each of its partitions; None until that is known."""

    def __init__(self, partitions: Iterable[int] | None) -> None:
        self.partitions = None if partitions is None else frozenset(partitions)
        self.targets: dict[int, int] | None = None


class ReadBarrier:
    """The reads that wait."""

    def __init__(self) -> None:
        self._waiting: dict[WaitingRead, None] = {}

    def ask(self, partitions: Iterable[int] | None) -> WaitingRead:
        """A read of `partitions`, or of all of them (None), begins now."""
        read = WaitingRead(partitions)
        self._waiting[read] = None
        return read

    def forget(self, read: WaitingRead) -> None:
        """The read no longer waits; forgetting twice is harmless."""
        self._waiting.pop(read, None)

    def __len__(self) -> int:
        return len(self._waiting)

    def begin_round(self) -> list[WaitingRead]:
        """The reads that have no target yet, as of now."""
        return [read for read in self._waiting if read.targets is None]

    def set_targets(self, reads: Iterable[WaitingRead], ends: Mapping[int, int]) -> None:
        """`ends` were asked for after `begin_round` had named `reads`."""
        for read in reads:
            read.targets = {p: end for p, end in ends.items() if read.partitions is None or p in read.partitions}

    def release(self, visible: Mapping[int, int]) -> list[WaitingRead]:
        """The reads that may answer now that everything below visible(p) can be read."""
        ready = [read for read in self._waiting if _reached(read.targets, visible)]
        for read in ready:
            self.forget(read)
        return ready


def _reached(targets: Mapping[int, int] | None, visible: Mapping[int, int]) -> bool:
    return targets is not None and all(visible.get(p, 0) >= end for p, end in targets.items())

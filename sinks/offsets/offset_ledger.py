"""The table is the ledger: which offsets of a batch are still to be inserted. Pure.

Every stored row carries its partition and offset. What is above the `ceiling` (the highest offset that may be stored)
is certainly not stored and goes in without a look; at or below it, the table is asked which offsets it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

NOTHING_STORED = -1


@dataclass(slots=True)
class OffsetLedger:
    """One partition of one topic, since it was assigned.

    `committed`: every offset below it is stored or dead-lettered. `ceiling`: no offset above it is stored.
    """

    committed: int
    ceiling: int = NOTHING_STORED

    def must_look(self, first: int) -> bool:
        """Whether offsets from `first` on may be stored already."""
        return first <= self.ceiling

    def attempting(self, last: int) -> None:
        """An INSERT up to `last` is about to start: from now on these offsets may be stored, whatever its answer."""
        self.ceiling = max(self.ceiling, last)

    def settled(self, last: int) -> None:
        """Everything up to `last` is stored or dead-lettered and acknowledged: its offset may be committed."""
        self.committed = max(self.committed, last + 1)


def missing(offsets: Sequence[int], present: Collection[int]) -> list[int]:
    """The offsets to insert, in their order."""
    return [offset for offset in offsets if offset not in present]

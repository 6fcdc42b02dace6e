"""Runs of offsets that a table lacks, and what of them has been looked at. Pure.

A gap may hold records that must be stored, and offsets at which the log never had a record for a reader: the markers
of transactions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

OFFSETS_OF_A_RANGE = 1_000_000  # as in migration 0011


class Gap(NamedTuple):
    """Offsets of one partition, both included."""

    first: int
    last: int


def ranges_of(start: int, end: int) -> Iterator[Gap]:
    """`start` to below `end`, cut at every multiple of OFFSETS_OF_A_RANGE."""
    while start < end:
        cut = min(end, (start // OFFSETS_OF_A_RANGE + 1) * OFFSETS_OF_A_RANGE)
        yield Gap(start, cut - 1)
        start = cut


def whole(part: Gap) -> tuple[int, int]:
    """(count, sum of the places within the range) of all offsets of a part of one range: what a full table has."""
    count = part.last - part.first + 1
    return count, (part.first % OFFSETS_OF_A_RANGE + part.last % OFFSETS_OF_A_RANGE) * count // 2


def split_at(gaps: Sequence[Gap], reached: int) -> tuple[list[Gap], list[Gap]]:
    """The gaps, which ascend, below the offset `reached`, and the others; one that is across it is cut in two."""
    below = [Gap(gap.first, min(gap.last, reached - 1)) for gap in gaps if gap.first < reached]
    beyond = [Gap(max(gap.first, reached), gap.last) for gap in gaps if gap.last >= reached]
    return below, beyond


def without(gaps: Sequence[Gap], offsets: Sequence[int]) -> list[Gap]:
    """What is left of the gaps when these offsets, which ascend and are all within them, are taken out."""
    left: list[Gap] = []
    taken = iter(offsets)
    next_taken = next(taken, None)
    for gap in gaps:
        first = gap.first
        while next_taken is not None and next_taken <= gap.last:
            if first < next_taken:
                left.append(Gap(first, next_taken - 1))
            first = next_taken + 1
            next_taken = next(taken, None)
        if first <= gap.last:
            left.append(Gap(first, gap.last))
    return left

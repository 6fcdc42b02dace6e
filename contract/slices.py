"""A row of items in pieces that have at most so many items, and so many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def slices(items: Sequence[T], sizes: Iterable[int], most: int, most_bytes: int) -> Iterator[Sequence[T]]:
    """The items in order, none twice; `sizes` are their bytes. One that is larger than `most_bytes` comes alone."""
    start = size = 0
    for at, length in enumerate(sizes):
        if at > start and (at - start >= most or size + length > most_bytes):
            yield items[start:at]
            start, size = at, 0
        size += length
    if start < len(items):
        yield items[start:]

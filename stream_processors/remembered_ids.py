"""The ids of a trace's events that carry a dedup key, so that the same event, published again, counts once (G5).

Up to CAPACITY ids nothing is forgotten, and a repeat is always recognised. Beyond it only the last ones are kept: a
repeat of an older one could not be told from a new event, so `complete` turns False and with it the summary's `exact`.

Ids are packed, 8 bytes each, in the order in which they came. Full pages are sealed: they go to the changelog once, as
records of their own, and only the unsealed tail travels with every snapshot of the state. So a trace of n events
costs O(n) bytes of changelog, not O(n * n).
"""

from __future__ import annotations

from collections.abc import Iterator

ID_BYTES = 8
PAGE_BYTES = 128 * ID_BYTES
CAPACITY = 4096


class RememberedIds:
    """Not a set: it also knows which part of it is in the changelog already."""

    __slots__ = ("complete", "packed", "sealed_pages")

    def __init__(self, packed: bytes = b"", *, sealed_pages: int = 0, complete: bool = True) -> None:
        self.packed = bytearray(packed)
        self.sealed_pages = sealed_pages
        self.complete = complete

    def add(self, event_id: int) -> bool:
        """Remember an id; False when it is remembered already, so that its event is a repeat."""
        packed = self.packed
        wanted = event_id.to_bytes(ID_BYTES, "big")
        at = packed.find(wanted)
        while at >= 0:
            if at % ID_BYTES == 0:
                return False
            at = packed.find(wanted, at + 1)
        if self.complete:
            if len(packed) == CAPACITY * ID_BYTES:
                self.complete = False
                del packed[:-PAGE_BYTES]
        elif len(packed) >= 2 * PAGE_BYTES:
            del packed[:-PAGE_BYTES]
        packed += wanted
        return True

    def seal(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every full page that is not in the changelog yet; sealed by being taken."""
        while self.complete and len(self.packed) >= (self.sealed_pages + 1) * PAGE_BYTES:
            start = self.sealed_pages * PAGE_BYTES
            self.sealed_pages += 1
            yield self.sealed_pages - 1, bytes(self.packed[start : start + PAGE_BYTES])

    def tail(self) -> bytes:
        """What no sealed page holds; it is below one page after `seal`, and below two pages when not complete."""
        return bytes(self.packed[self.sealed_pages * PAGE_BYTES :] if self.complete else self.packed)

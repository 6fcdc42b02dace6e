"""The ids of a trace's events that carry a dedup key, so that the same event, published again, counts once (G5).

Up to CAPACITY ids nothing is forgotten, and a repeat is always recognised. Beyond it only the last ones are kept: a
repeat of an older one could not be told from a new event, so `complete` turns False and with it the summary's `exact`.

Ids are packed, 8 bytes each, in the order in which they came. Full pages are sealed: they go to the changelog once, as
records of their own, and only the unsealed tail travels with every snapshot of the state. So a trace of n events
costs O(n) bytes of changelog, not O(n * n).
"""

from __future__ import annotations

ID_BYTES = 8
PAGE_BYTES = 128 * ID_BYTES
CAPACITY = 4096


class RememberedIds:
    """Not a set: it also knows which part of it is in the changelog already.

    `pages` are the sealed ones, and `tail` is what no sealed page holds: below one page after `seal`, and below two
    pages when not complete; then `pages` is empty, and `sealed_pages` still says how many the changelog has.
    """

    __slots__ = ("complete", "pages", "sealed_pages", "tail")

    def __init__(
        self, tail: bytes = b"", pages: tuple[bytes, ...] = (), sealed_pages: int = 0, complete: bool = True
    ) -> None:
        self.tail = tail
        self.pages = pages
        self.sealed_pages = sealed_pages
        self.complete = complete

    def add(self, event_id: int) -> bool:
        """Remember an id; False when it is remembered already, so that its event is a repeat."""
        wanted = event_id.to_bytes(ID_BYTES, "big")
        tail, pages = self.tail, self.pages
        if tail or pages:
            if _holds(tail, wanted) or (pages and any(_holds(page, wanted) for page in pages)):
                return False
            if not self.complete:
                if len(tail) >= 2 * PAGE_BYTES:
                    tail = tail[-PAGE_BYTES:]
            elif len(pages) * PAGE_BYTES + len(tail) >= CAPACITY * ID_BYTES:
                tail = self._forget_early_ones()
        self.tail = tail + wanted
        return True

    def _forget_early_ones(self) -> bytes:
        kept = (b"".join(self.pages[-1:]) + self.tail)[-PAGE_BYTES:]
        self.complete, self.pages = False, ()
        return kept

    def seal(self) -> list[tuple[int, bytes]]:
        """Number and bytes of every full page that is not in the changelog yet; sealed by being taken."""
        sealed: list[tuple[int, bytes]] = []
        while self.complete and len(self.tail) >= PAGE_BYTES:
            page, self.tail = self.tail[:PAGE_BYTES], self.tail[PAGE_BYTES:]
            sealed.append((self.sealed_pages, page))
            self.pages = (*self.pages, page)
            self.sealed_pages += 1
        return sealed


def _holds(packed: bytes, wanted: bytes) -> bool:
    at = packed.find(wanted)
    while at >= 0:
        if at % ID_BYTES == 0:
            return True
        at = packed.find(wanted, at + 1)
    return False

"""The live traces of a worker, packed: what is in memory for a trace is what its changelog record holds, byte for byte.

So a million traces take no more than their bytes, writing one is packing it, and recovering one is keeping it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from axonstream.stream_processors.trace_state import (
    TraceState,
    changelog_records,
    packed_fence,
    page_keys,
    state_key_of,
    unpack_state,
)

UNPACKED = 4096  # states that the fold used last, as values: a trace that is at work is not unpacked for each chunk


class TraceStates(Mapping[bytes, TraceState]):
    """State key -> TraceState. What is read is a copy: a change counts when it is stored.

    `packed` and `pages` are the changelog's two kinds of record, by their keys; `partitions` is the one that each state
    was folded in, where it is known.
    """

    def __init__(
        self,
        packed: dict[bytes, bytes] | None = None,
        pages: dict[bytes, bytes] | None = None,
        partitions: Mapping[bytes, int] | None = None,
    ) -> None:
        self.packed = {} if packed is None else packed
        self._unpacked: OrderedDict[bytes, tuple[bytes, TraceState]] = OrderedDict()
        self.pages = {} if pages is None else pages
        self.partitions: Mapping[bytes, int] = {} if partitions is None else partitions

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.packed)

    def __contains__(self, key: object) -> bool:
        return key in self.packed

    def __getitem__(self, key: bytes) -> TraceState:
        return unpack_state(key, self.packed[key], self.pages)

    def find(self, key: bytes) -> TraceState | None:
        """The state of a trace, or None: for the fold alone, which stores what it changes. No copy."""
        packed = self.packed.get(key)
        if packed is None:
            return None
        known = self._unpacked.get(key)
        if known is not None and known[0] is packed:
            return known[1]
        return unpack_state(key, packed, self.pages)

    def last_offset(self, key: bytes) -> int | None:
        """The fence of a trace, without unpacking the rest; None when there is no state."""
        packed = self.packed.get(key)
        return None if packed is None else packed_fence(packed)

    def store(self, key: bytes, state: TraceState) -> list[tuple[bytes, bytes]]:
        """Keep `state`, and return the changelog records that make it survive a restart."""
        records = changelog_records(key, state)
        packed = self.packed[key] = records[-1][1]
        self._unpacked[key] = packed, state
        self._unpacked.move_to_end(key)
        if len(self._unpacked) > UNPACKED:
            self._unpacked.popitem(last=False)
        if len(records) > 1:
            self.pages.update(records[:-1])
        if state.ids.sealed_pages and not state.ids.complete:
            self._forget_pages(key, state)  # they serve no more; the changelog has them until the eviction
        return records

    def forget(self, key: bytes) -> None:
        """Forget a state and its pages."""
        if key in self.packed:
            state = self[key]
            del self.packed[key]
            self._unpacked.pop(key, None)
            self._forget_pages(key, state)

    def forget_pages_of_the_dead(self) -> None:
        """O(pages): forget the pages of states that are here no more."""
        for page in [page for page in self.pages if state_key_of(page) not in self.packed]:
            del self.pages[page]

    def clear(self) -> None:
        self.packed.clear()
        self._unpacked.clear()
        self.pages.clear()

    def _forget_pages(self, key: bytes, state: TraceState) -> None:
        for page in page_keys(key, state.first_offset, state.ids.sealed_pages):
            self.pages.pop(page, None)

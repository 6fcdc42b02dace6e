"""A row of items in pieces, by number and by bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.slices import slices


@given(sizes=st.lists(st.integers(0, 9), max_size=30), most=st.integers(1, 5), most_bytes=st.integers(0, 12))
def test_pieces_keep_the_order_and_are_as_large_as_they_may_be(sizes: list[int], most: int, most_bytes: int) -> None:
    items = list(enumerate(sizes))
    pieces = list(slices(items, sizes, most, most_bytes))
    assert [item for piece in pieces for item in piece] == items
    assert all(pieces), "none is empty"
    for piece in pieces:
        assert len(piece) <= most
        assert len(piece) == 1 or sum(size for _, size in piece) <= most_bytes
    for piece, following in pairwise(pieces):
        assert len(piece) == most or sum(size for _, size in [*piece, following[0]]) > most_bytes

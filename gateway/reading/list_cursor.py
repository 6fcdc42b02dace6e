"""Where a list goes on: the answer's X-Axonstream-Next-Cursor, which the next request gives as `cursor`.

A page that is full has one; there is no list without end, so a page after the last is empty. The cursor is the place
of the last row, sealed for its tenant: a list costs the same at any depth, and what stands before the cursor does not
come again when more is published meanwhile. Pages by number (`page`, `offset`) end at MOST_SKIPPED rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.reading.query_values import positive
from axonstream.gateway.sealed_texts import NotSealedHereError, SealedTexts

NEXT_CURSOR = "X-Axonstream-Next-Cursor"
MOST_SKIPPED = 10_000

Place = Sequence[int | str]


class ListCursors:
    """Cursors of one kind of list."""

    def __init__(self, sealed: SealedTexts, kind: str) -> None:
        self._sealed = sealed
        self._kind = kind

    def headers(self, tenant_id: str, place: Place | None) -> dict[str, str]:
        """The header of an answer after whose last row, at `place`, more may follow."""
        if place is None:
            return {}
        return {NEXT_CURSOR: self._sealed.text(tenant_id, orjson.dumps([self._kind, *place])).decode()}

    def place(self, query: Mapping[str, str], tenant_id: str) -> Place | None:
        """The place after which the list goes on; None without a cursor. Raises RefusedError 400."""
        text = query.get("cursor")
        if text is None:
            return None
        if "page" in query or "offset" in query:
            hint = "Leave out page and offset: the cursor says where the list goes on."
            raise RefusedError(400, "cursor is given with page or offset", hint)
        try:
            kind, *place = orjson.loads(self._sealed.content(tenant_id, text))
        except NotSealedHereError:
            kind, place = "", ()
        if kind != self._kind:
            hint = f"Give the {NEXT_CURSOR} of the page before as it is, or leave cursor out for the first page."
            raise RefusedError(400, "cursor is not one that this server gave to this tenant for this list", hint)
        return place


def skipped_rows(query: Mapping[str, str], limit: int) -> int:
    """The rows before the page that `offset`, or `page` and `limit`, ask for. Raises RefusedError 400."""
    offset = positive(query, "offset", (positive(query, "page", 1) - 1) * limit, least=0)
    if offset > MOST_SKIPPED:
        hint = f"Go on with cursor: each full page has the next one's in its header {NEXT_CURSOR}."
        raise RefusedError(400, f"a page may begin after at most {MOST_SKIPPED:,} rows, not {offset:,}", hint)
    return offset

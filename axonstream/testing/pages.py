"""Values of a query, and the page of a list that it asks for."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import orjson
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError

from axonstream.event_contract import OccurredAt
from axonstream.testing.asked import Asked, RefusedError
from axonstream.testing.memory_store import Row

MAX_LIMIT, MOST_SKIPPED = 1000, 10_000
NEXT_CURSOR = "X-Axonstream-Next-Cursor"

Place = tuple[int, str]

_time = TypeAdapter[int | None](OccurredAt)


def positive(asked: Asked, name: str, default: int, least: int = 1) -> int:
    """A whole number of the query. Raises RefusedError 400."""
    text = asked.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) >= least):
        message = f"{name} must be a whole number from {least}, not {text[:32]!r}"
        raise RefusedError(400, message, f"Set {name} to {least} or more.")
    return int(text)


def time_of(asked: Asked, name: str) -> int | None:
    """A time of the query as ms since 1970. Raises RefusedError 400."""
    text = asked.query.get(name)
    try:
        return _time.validate_python(int(text) if text and text.isascii() and text.isdecimal() else text)
    except PydanticError as error:
        message = f"{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        raise RefusedError(400, message, f"Correct {name}, or leave it out.") from None


def page(asked: Asked, kind: str, found: Sequence[tuple[Place, Row]], usual: int) -> tuple[list[Row], dict[str, str]]:
    """The rows that are asked for, and the headers of their answer: a full page has the cursor of the next one.

    `found` are in descending order of their places.
    """
    limit = min(positive(asked, "limit", usual), MAX_LIMIT)
    skipped = positive(asked, "offset", (positive(asked, "page", 1) - 1) * limit, least=0)
    if skipped > MOST_SKIPPED:
        message = f"a page may begin after at most {MOST_SKIPPED:,} rows, not {skipped:,}"
        hint = f"Go on with cursor: each full page has the next one's in its header {NEXT_CURSOR}."
        raise RefusedError(400, message, hint)
    after = _place_of(asked, kind)
    rows = [(place, row) for place, row in found if after is None or place < after][skipped : skipped + limit]
    headers: dict[str, str] = {}
    if len(rows) == limit:
        headers[NEXT_CURSOR] = urlsafe_b64encode(orjson.dumps([kind, *rows[-1][0]])).decode()
    return [row for _, row in rows], headers


def _place_of(asked: Asked, kind: str) -> Place | None:
    text = asked.query.get("cursor")
    if text is None:
        return None
    if "page" in asked.query or "offset" in asked.query:
        hint = "Leave out page and offset: the cursor says where the list goes on."
        raise RefusedError(400, "cursor is given with page or offset", hint)
    try:
        given, at, name = orjson.loads(urlsafe_b64decode(text))
    except ValueError:
        given, at, name = "", 0, ""
    if given != kind:
        hint = f"Give the {NEXT_CURSOR} of the page before as it is, or leave cursor out for the first page."
        raise RefusedError(400, "cursor is not one that this server gave to this tenant for this list", hint)
    return at, name

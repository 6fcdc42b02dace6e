"""A few distinct names in the order in which they came, in one bytes object: each stands between two NULs.

Names hold no NUL themselves (see the validation of records). Looking for a name is then one search, and most traces
have the same few lists, so that their JSON is made once.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

NO_NAMES = b""
SHORT = 256  # bytes; only the JSON of short lists is kept, so that what is kept stays below some 3 MB
MOST_KEPT = 4096


def with_name(names: bytes, name: str, most: int) -> bytes | None:
    """The list with `name` in it, which is `names` itself when it is there already; None when `most` others are."""
    marked = f"\x00{name}\x00".encode()
    if marked in names:
        return names
    if not names:
        return marked
    return None if names.count(b"\x00") > most else names + marked[1:]


def names_in(names: bytes) -> list[str]:
    """The names, first come first."""
    return names[1:-1].decode().split("\x00") if names else []


def names_json(names: bytes) -> bytes:
    """The names as a JSON array."""
    return _kept_json(names) if len(names) <= SHORT else orjson.dumps(names_in(names))


@lru_cache(MOST_KEPT)
def _kept_json(names: bytes) -> bytes:
    return orjson.dumps(names_in(names))

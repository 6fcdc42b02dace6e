"""How single values look on the wire: ids by the client's generation, times as ISO 8601."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.unix_ms import iso_milliseconds

Answer = TypeVar("Answer")

_JSON_INTEGERS = range(-(1 << 63), 1 << 64)  # what orjson reads as integers: a larger id was sent as text


@lru_cache(maxsize=1024)  # the events of a millisecond have the same one
def iso_time(ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    return iso_milliseconds(ms)


def wire_id(number: int, generation: ApiVersion) -> int | str:
    """An id of ours: a JSON integer for v0 clients, a string for v1 clients."""
    return number if generation is ApiVersion.V0 else str(number)


def opaque_id(text: str, generation: ApiVersion) -> int | str | None:
    """An id that the sender chose: a JSON integer for v0 clients where it is one, else as it is; None when empty.

    So the id of a parent comes back with the type and value of the id that the parent's own answer has.
    """
    if not text:
        return None
    if generation is ApiVersion.V0 and text.isascii() and text.removeprefix("-").isdecimal():
        number = int(text)
        if str(number) == text and number in _JSON_INTEGERS:
            return number
    return text


def with_id_texts(answer: Answer, *ids: str) -> Answer:
    """`answer`, in which each of `ids` that is a JSON number stands as text, too, as `<name>Text`.

    JavaScript and others read JSON numbers as doubles, which change an id of 19 digits.
    """
    fields = cast("dict[str, Any]", answer)
    for name in ids:
        if isinstance(number := fields[name], int):
            fields[f"{name}Text"] = str(number)
    return answer

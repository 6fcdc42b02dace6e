"""The sender's own bytes of payload and metadata, cut out of the body that they came in.

Parsing and encoding again would change 2**70, 1.00 or 1e3; what is stored must be what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import orjson

from axonstream.event_contract import MAX_DEPTH
from producers.verdict import wrong_shape_by_walking

_KEPT = ("payload", "metadata")
_SPACE = " \t\n\r"


class BodyError(ValueError):
    """The body is not what was asked for; the message says why, to the sender."""


class TooManyEventsError(ValueError):
    """A bulk body of more events than one request may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} events in one request")


class SentEvent(NamedTuple):
    """One event as it came in; `kept` has the bytes of payload and metadata where parsing would lose something."""

    fields: dict[str, Any]
    kept: dict[str, bytes]


def read_event(raw: bytes) -> SentEvent:
    """Parse one JSON object of UTF-8.

    Raises BodyError for malformed JSON (NaN, a lone surrogate and a number beyond a double's range are malformed,
    too), a repeated key, nesting deeper than MAX_DEPTH, and anything that is no object.
    """
    parsed = _loads(raw)
    if not isinstance(parsed, dict):
        raise BodyError("the event must be a JSON object")
    fields = cast("dict[str, Any]", parsed)
    # Bytes that are the canonical form of what was read hold no repeated key, and encoding them again changes nothing.
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH and orjson.dumps(fields) == raw:
        return SentEvent(fields, {})
    if reason := wrong_shape_by_walking(raw):
        raise BodyError(f"the event cannot be kept as it is: {reason}")
    return SentEvent(fields, _member_bytes(raw.decode()))


def split_events(body: bytes, most: int) -> list[bytes]:
    """The bytes of each event of a JSON array, or of each line of NDJSON that is not blank.

    Raises BodyError when an array is malformed as a whole; a malformed line is left for `read_event` to refuse.
    Raises TooManyEventsError for more than `most` elements or lines, before they are cut apart.
    """
    if body.lstrip(b" \t\r\n").startswith(b"["):
        elements = _loads(body)
        if isinstance(elements, list) and len(cast("list[object]", elements)) > most:
            raise TooManyEventsError(most)
        return [text.encode() for text in _elements(body.decode())]
    if body.count(b"\n") > most:
        raise TooManyEventsError(most)
    return [line for line in body.split(b"\n") if line.strip(b" \t\r")]


def _loads(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if not raw.strip():
            raise BodyError("the body is empty; it must be a JSON object") from None
        raise BodyError(f"not valid JSON in UTF-8: {error}") from None


def _constant(_: str) -> None:
    return None


# Numbers are not read: only where a value ends is asked of this scanner.
_scan = json.JSONDecoder(parse_int=_constant, parse_float=_constant).raw_decode


def _member_bytes(text: str) -> dict[str, bytes]:
    """Payload's and metadata's bytes in an object that is known to be valid JSON without repeated keys."""
    kept: dict[str, bytes] = {}
    at = _next(text, _next(text, 0) + 1)
    while text[at] != "}":
        key, end = _scan(text, at)
        start = _next(text, _next(text, end) + 1)  # the colon
        _, end = _scan(text, start)
        if key in _KEPT:
            kept[key] = text[start:end].encode()
        at = _next(text, end)
        if text[at] == ",":
            at = _next(text, at + 1)
    return kept


def _elements(text: str) -> Iterator[str]:
    """The text of each element of an array that is known to be valid JSON."""
    at = _next(text, _next(text, 0) + 1)
    while text[at] != "]":
        try:
            _, end = _scan(text, at)
        except RecursionError:
            raise BodyError(f"nested deeper than {MAX_DEPTH}") from None
        yield text[at:end]
        at = _next(text, end)
        if text[at] == ",":
            at = _next(text, at + 1)


def _next(text: str, at: int) -> int:
    """Where the next character that is no white space stands."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at

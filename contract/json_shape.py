"""What JSON parsers leave open: repeated keys, depth, and the number of values. In linear time, and in C.

A text is parsed and encoded once more, and the quotes of both are counted. A key that is repeated leaves a string out
of what comes back; spaces, escapes, the order of keys and the spelling of numbers change no quote that delimits.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import orjson

from axonstream.event_contract import MAX_DEPTH, MAX_VALUES

_FEW_CONTAINERS = 500  # fewer objects and arrays are no work for the garbage collector


class JsonShapeError(ValueError):
    """Valid JSON that is not taken; the message says why."""


def read_json(text: bytes, depth: int = MAX_DEPTH) -> Any:
    """What `orjson.loads` reads of `text`.

    Raises orjson.JSONDecodeError, and JsonShapeError when an object has a key twice, or objects and arrays are nested
    more than `depth` deep. Ask `too_many_values` first: this takes 40 ns a byte where there is nothing but brackets.
    """
    containers = text.count(b"[") + text.count(b"{")
    if containers < _FEW_CONTAINERS:
        tree = orjson.loads(text)
    else:
        with collector_at_rest():
            tree = orjson.loads(text)
    canonical = orjson.dumps(tree) if containers <= depth else _encode_within(tree, depth)
    if text != canonical and _delimiters(text) != _delimiters(canonical):
        raise JsonShapeError("a key is repeated")
    return tree


def too_many_values(text: bytes, most: int = MAX_VALUES) -> bool:
    """Whether valid JSON has more than `most` values: strings, numbers, literals, arrays and objects, itself included.

    Names of members are no values. Of text that is not valid JSON, it speaks of the part before the fault.
    """
    if len(text) <= 2 * most or text.count(b",") + text.count(b"[") + text.count(b"{") < most:
        return False
    text = _without_escapes(text)
    if text.count(b'"') > 4 * most:  # each string is a value, or the name of one
        return True
    outside = b'"'.join(text.split(b'"')[::2])  # a string is one quote now
    most -= 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{")
    if most >= 0:
        return False
    outside = outside.translate(None, b" \t\r\n")
    return most + outside.count(b"[]") + outside.count(b"{}") < 0  # what is empty holds no first value


@contextmanager
def collector_at_rest() -> Generator[None]:
    """Python's garbage collector would look at thousands of new objects again and again, and find nothing.

    What is made in here and dropped before the end is not looked at at all.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _encode_within(tree: Any, depth: int) -> bytes:
    """`tree` as compact JSON. orjson refuses what is too deep for it: in so many lists, its limit is `depth`."""
    around = _DEPTH_OF_ORJSON - depth
    for _ in range(around):
        tree = [tree]
    try:
        return orjson.dumps(tree)[around:-around]
    except orjson.JSONEncodeError:
        raise JsonShapeError(f"nested deeper than {MAX_DEPTH}") from None


def _delimiters(text: bytes) -> int:
    return _without_escapes(text).count(b'"')


def _without_escapes(text: bytes) -> bytes:
    """Valid JSON without escaped backslashes and quotes: each quote that is left begins or ends a string."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def _depth_of_orjson() -> int:
    depth, tree = 0, list[Any]()
    while True:
        try:
            orjson.dumps(tree)
        except orjson.JSONEncodeError:
            return depth
        depth, tree = depth + 1, [tree]


_DEPTH_OF_ORJSON = _depth_of_orjson()
if _DEPTH_OF_ORJSON <= MAX_DEPTH:
    raise ImportError(
        f"orjson nests {_DEPTH_OF_ORJSON} deep, not over {MAX_DEPTH}: install the version of the lock file"
    )

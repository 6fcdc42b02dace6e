"""Slow truths about JSON texts, walked value by value: what the product's quick ways are compared with."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from axonstream.event_contract import MAX_DEPTH

_SPACE = re.compile(r"[ \t\r\n]*")


class _RepeatedKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _RepeatedKeyError
    return unique


def wrong_shape_by_walking(value: bytes) -> str | None:
    """A repeated key, or objects and arrays nested more than MAX_DEPTH deep, in a text that is known to be valid."""
    try:
        tree: Any = json.loads(value, object_pairs_hook=_unique)
    except _RepeatedKeyError:
        return "a key is repeated"
    except RecursionError:
        return f"nested deeper than {MAX_DEPTH}"
    return f"nested deeper than {MAX_DEPTH}" if depth_of(tree) > MAX_DEPTH else None


def depth_of(tree: Any) -> int:
    """How many objects and arrays stand in each other."""
    depth, level = 0, [tree]
    while level := [node for node in level if isinstance(node, (dict, list))]:
        depth += 1
        level = [child for node in level for child in _children(node)]
    return depth


def count_of_values(tree: Any) -> int:
    """Every string, number, literal, array and object, the whole included; names of members are none."""
    return 1 + sum(map(count_of_values, _children(tree)))


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(cast("dict[str, Any]", node).values())
    return cast("list[Any]", node) if isinstance(node, list) else []


def raw_members(text: str) -> dict[str, str]:
    """The members of a JSON object that is known to be valid, each value as the very text that stands there."""
    decoder = json.JSONDecoder()
    members: dict[str, str] = {}
    at = _after_space(text, _after_space(text, 0) + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = decoder.raw_decode(text, start)
        members[name] = text[start:end]
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return members


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at

"""JSON for programs that read numbers as doubles: beside each id that is a number stands its text.

An id has up to 19 digits, of which a double keeps 15 to 17.
"""

from __future__ import annotations

import re
from typing import Any, cast

import orjson
from msgspec import Raw
from msgspec.json import Decoder

_SENDERS_OWN = {"payload", "metadata"}
_LARGE_INTEGER = re.compile(r"(LowCardinality\(|Nullable\()*U?Int(64|128|256)\b")
_ID_COLUMN = re.compile(r"(.*_)?id")
_cells = Decoder(list[Raw]).decode


def with_id_texts(document: Any) -> Any:
    """`document` with `<name>Text` beside each whole number of name `id` or `...Id`; not in what a sender wrote."""
    if isinstance(document, list):
        return [with_id_texts(one) for one in cast("list[Any]", document)]
    if not isinstance(document, dict):
        return document
    told: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", document).items():
        told[name] = value if name in _SENDERS_OWN else with_id_texts(value)
        if type(value) is int and (name == "id" or name.endswith("Id")):
            told[f"{name}Text"] = str(value)
    return told


def rows_as_objects(answer: bytes) -> bytes:
    """JSONCompactEachRowWithNamesAndTypes as an array of objects, each value as ClickHouse wrote it.

    Beside a column `id` or `..._id` of integers of 64 bits or more stands `<name>_text`, unless the answer has one.
    """
    names_line, types_line, *rows = [line for line in answer.split(b"\n") if line] or [b"[]", b"[]"]
    names: list[str] = orjson.loads(names_line)
    kinds: list[str] = orjson.loads(types_line)
    twins = [
        _ID_COLUMN.fullmatch(name) is not None
        and _LARGE_INTEGER.match(kind) is not None
        and f"{name}_text" not in names
        for name, kind in zip(names, kinds, strict=True)
    ]
    plain = [orjson.dumps(name) for name in names]
    texts = [orjson.dumps(f"{name}_text") for name in names]

    def members(row: bytes) -> bytes:
        pieces: list[bytes] = []
        for at, cell in enumerate(_cells(row)):
            value = bytes(cell)
            pieces.append(b"%b:%b" % (plain[at], value))
            if twins[at]:
                pieces.append(b"%b:%b" % (texts[at], value if value == b"null" else b'"%b"' % value))
        return b"{%b}" % b",".join(pieces)

    return b"[\n%b\n]\n" % b",\n".join(map(members, rows)) if rows else b"[]\n"

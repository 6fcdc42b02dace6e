"""The payloads that cost most to validate: as many values as an event may have, in as few bytes as possible."""

from __future__ import annotations

from axonstream.event_contract import MAX_VALUES

_MOST = MAX_VALUES - 100  # the event has some of its own


def _of(one: bytes, values: int) -> bytes:
    """An object with an array of `one`, which is so many values, and a member more: none may be repeated."""
    return b'{"a":[' + b",".join([one] * (_MOST // values)) + b'],"b":1}'


DEAR_PAYLOADS = {
    "empty arrays": _of(b"[]", 1),
    "empty objects": _of(b"{}", 1),
    "arrays nested 90 deep": _of(b"[" * 90 + b"]" * 90, 90),
    "objects nested 90 deep": _of(b'{"a":' * 90 + b"0" + b"}" * 90, 91),
    "objects of one member": _of(b'{"a":0}', 2),
    "objects of two members": _of(b'{"a":0,"b":0}', 3),
    "one object of all names": b"{" + b",".join([b'"%x":0' % at for at in range(_MOST)]) + b"}",
    "empty strings": _of(b'""', 1),
    "numbers of 17 digits": _of(b"0.12345678901234567", 1),
    "escaped letters": b'{"a":"' + b"\\u00e9" * 100_000 + b'"}',
    "escaped line ends": b'{"a":"' + b"\\n" * 300_000 + b'"}',
    "escaped controls": b'{"a":"' + b"\\u0001" * 100_000 + b'"}',
    "escaped backslashes": b'{"a":"' + b"\\\\" * 300_000 + b'"}',
    "spaces": b'{"a":' + b" " * 600_000 + b"1}",
}


def text_of(size: int) -> bytes:
    """Plain text of that size, as a payload."""
    return b'{"a":"' + b"x" * (size - 8) + b'"}'

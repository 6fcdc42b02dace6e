"""JSON of a sender that cut a text inside a character above U+FFFF: the half that is left becomes U+FFFD.

Such a character is a surrogate pair in UTF-16, which JavaScript and Java cut by units. Its half arrives as an escape
(`"\\ud83d"`), or as three bytes that are no UTF-8. Two halves that stand together are their character.
"""

from __future__ import annotations

import re

# What is no half is passed over in one go. A half is a low surrogate, or a high one that no low one follows.
_UP_TO_HALVES = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]%(hex)b\\u[dD][c-fC-F]%(hex)b)*+)"
    rb"((?:\\u[dD][c-fC-F]%(hex)b|\\u[dD][89abAB]%(hex)b(?!\\u[dD][c-fC-F]))*+)" % {b"hex": rb"[0-9a-fA-F]{2}"},
    re.DOTALL,
)
_ESCAPE = 6  # bytes
_MOST_PLACES = 1000  # 5 ms: a text that is cut in more of them is no text, and stays malformed


def with_whole_characters(text: bytes) -> bytes:
    """`text` without halves, of which escapes are looked at in the first _MOST_PLACES places."""
    if b"\xed" in text:
        text = _utf8(text)
    return _UP_TO_HALVES.sub(_replaced, text, _MOST_PLACES) if b"\\u" in text else text


def _utf8(text: bytes) -> bytes:
    try:
        units = text.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return text
    return units.decode("utf-16-le", "replace").encode()


def _replaced(found: re.Match[bytes]) -> bytes:
    return found[1] + b"\\ufffd" * (len(found[2]) // _ESCAPE)

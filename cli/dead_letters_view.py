"""Dead letters on a terminal or as JSON. Their bytes come from anybody: nothing of them reaches a terminal raw."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from axonstream.cli.terminal_text import harmless, print_table, say, say_json
from axonstream.sinks.dead_letters.store import Letter, OpenedLetter, ReasonCount
from axonstream.unix_ms import iso_seconds

_HEX_BYTES = 32  # of one line


def print_letters(letters: Sequence[Letter], output: str) -> None:
    """A table, or one JSON array; newest first as they come."""
    if output == "json":
        _print_json([_members(letter) for letter in letters])
        return
    names = ["letter", "epoch", "record of", "bytes", "tenant", "trace", "state", "reason"]
    rows = [
        [
            str(letter.place),
            str(letter.place.epoch),
            iso_seconds(letter.failed_at),
            str(letter.value_bytes),
            letter.tenant_id,
            letter.trace_id,
            letter.state,
            letter.reason,
        ]
        for letter in letters
    ]
    print_table(names, rows, [False, True, False, True, False, False, False, False])


def print_reasons(reasons: Sequence[ReasonCount], output: str) -> None:
    if output == "json":
        _print_json([asdict(reason) for reason in reasons])
        return
    rows = [[str(r.letters), iso_seconds(r.first_at), iso_seconds(r.last_at), r.reason] for r in reasons]
    print_table(["letters", "first", "last", "reason"], rows, [True, False, False, False])


def print_letter(letter: OpenedLetter, output: str) -> None:
    """Everything of one letter."""
    head = letter.letter
    if output == "json":
        bytes_ = {"key_b64": b64encode(letter.key).decode(), "value_b64": b64encode(letter.value).decode()}
        _print_json({**_members(head), **bytes_, "value": _text(letter.value)})
        return
    for name, text in (
        ("topic", head.place.topic),
        ("partition", str(head.place.partition)),
        ("offset", str(head.place.offset)),
        ("epoch", str(head.place.epoch)),
        ("record of", iso_seconds(head.failed_at)),
        ("state", head.state),
        ("tenant", head.tenant_id),
        ("trace", head.trace_id),
        ("reason", head.reason),
        ("key", _text(letter.key) if _text(letter.key) is not None else f"(hex) {letter.key.hex(' ')}"),
        ("value", f"{head.value_bytes} bytes"),
    ):
        say(f"{name.ljust(11)}{harmless(text or '')}".rstrip())
    text = _text(letter.value)
    if text is not None:
        say(harmless(text))
        return
    for at in range(0, len(letter.value), _HEX_BYTES):
        say(letter.value[at : at + _HEX_BYTES].hex(" "))


def _members(letter: Letter) -> dict[str, Any]:
    members = asdict(letter)
    del members["place"]
    return {**letter.place._asdict(), **members}


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _print_json(document: Any) -> None:
    """ASCII only, so that no control character of a sender is printed raw."""
    say_json(document, indent=2)

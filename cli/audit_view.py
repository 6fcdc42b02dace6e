"""Entries of the audit log on a terminal, in 80 columns, or as JSON. Names come from senders: none is printed raw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from axonstream.cli.terminal_text import harmless, say, say_json
from axonstream.gateway.control.audit_entry import AuditEntry
from axonstream.unix_ms import iso_seconds

WIDTH = 80
_INDENT = 4
_LABEL = 8


def print_entries(entries: Sequence[AuditEntry], output: str) -> None:
    """A block of lines for each entry, or one JSON array (ASCII, times in ms since 1970)."""
    if output == "json":
        say_json([asdict(one) for one in entries], indent=2)
        return
    for one in entries:
        for line in entry_lines(one):
            say(line)


def entry_lines(one: AuditEntry) -> Iterator[str]:
    """When, what and of whom; then by whom and from where, before and after. Times are UTC."""
    tenant = f"  tenant {one.tenant_id}" if one.tenant_id else ""
    yield from _wrapped(f"{iso_seconds(one.at)}  {one.action}  {one.subject}{tenant}", 0)
    yield from _labelled("by", f"{one.who} from {one.origin or 'an unknown address'}")
    for label, fields in (("before", one.before), ("after", one.after)):
        if fields is not None:
            yield from _labelled(label, "  ".join(_fields(fields)))


def _fields(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name.endswith("_at") and isinstance(value, int):
            yield f"{name}={iso_seconds(value)}"
        elif isinstance(value, str) and value and "  " not in value:
            yield f"{name}={value}"
        else:
            yield f"{name}={json.dumps(value, ensure_ascii=False)}"


def _labelled(label: str, text: str) -> Iterator[str]:
    first = label.ljust(_LABEL)
    for line in _wrapped(text, _INDENT + _LABEL):
        yield f"{' ' * _INDENT}{first}{line[_INDENT + _LABEL :]}"
        first = " " * _LABEL


def _wrapped(text: str, indent: int) -> Iterator[str]:
    width = WIDTH - indent
    for line in Text(harmless(text)).wrap(Console(width=width), width, overflow="fold"):
        yield " " * indent + line.plain.rstrip()

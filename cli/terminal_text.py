"""The one way to a terminal, of any encoding: made harmless, aligned by what it shows, in colour only where seen.

No other file of this package writes to one, because what is printed comes from logs, servers, events and exceptions.

Colour follows rich: none when the output is no terminal or NO_COLOR is set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from axonstream.cli.harmless_group import HarmlessGroup, take_any_text
from axonstream.process.harmless_text import harmless, harmless_lines

__all__ = [
    "HarmlessGroup",
    "cut",
    "harmless",
    "pad",
    "print_lines",
    "print_table",
    "say",
    "say_json",
    "table_lines",
    "terminal_width",
]


_NARROWEST, _WIDTH_OF_A_FILE = 40, 100


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print `text`, of which line feeds stay."""
    take_any_text()
    click.echo(harmless_lines(text), err=to_stderr)


def say_json(document: Any, indent: int | None = None) -> None:
    """Print JSON in ASCII: a control character stands there as its escape, and programs read the same text."""
    click.echo(json.dumps(document, indent=indent).replace("\x7f", "\\u007f"))


def terminal_width() -> int:
    """In cells; in a pipe or file, where nothing is cut, 100."""
    console = Console()
    return max(_NARROWEST, console.width) if console.is_terminal else _WIDTH_OF_A_FILE


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` with spaces up to `width` cells; a wide character counts as the two cells that it takes."""
    spaces = " " * (width - cell_len(text))
    return spaces + text if right else text + spaces


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with … where something was left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def table_lines(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """A header, a rule and the rows, two spaces between the columns; `right` says which are aligned right."""
    cells = [[harmless(cell) for cell in row] for row in [names, *rows]]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(pad(cell, width, right=at) for cell, width, at in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    """Boxed and wrapped to its width on a terminal; plain lines of any length in a pipe or file."""
    take_any_text()
    console = Console()
    if not console.is_terminal:
        for line in table_lines(names, rows, right):
            say(line)
        return
    table = Table()
    for name, at in zip(names, right, strict=True):
        table.add_column(Text(harmless(name)), justify="right" if at else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console.print(table)


def print_lines(lines: Iterable[Text]) -> None:
    """One line for one Text, never wrapped or cut."""
    take_any_text()
    console = Console()
    for line in lines:
        if console.is_terminal:
            console.print(line, soft_wrap=True)
        else:
            say(line.plain)

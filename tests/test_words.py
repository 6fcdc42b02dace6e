"""The words that a person reads keep to CONTRIBUTING, "Words": a closed list of habits is in none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.rooms import ROOMS

ROOT = Path(__file__).parents[1]
HABITS = re.compile(
    r"\b(anew|nobody|somebody|anybody|whoever|for ever|but for|in vain|dear|borne|his|stands|none of ours"
    r"|(?:what|which|that) is no (?!longer|such)\w+|is no event|holes? or (?:a )?doubles?)\b",
    re.IGNORECASE,
)
# The guarantees tell what broke, in the words of the list of guards. The reference of the SDK is made of docstrings.
OF_SOURCES = {"guarantees.md", "sdk-reference.md"}
TOP = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*TOP, ROOT / "examples/README.md", *(p for p in sorted(ROOT.glob("docs/*.md")) if p.name not in OF_SOURCES)]


def said(page: Path) -> str:
    """Without names in backticks, and without the table of CONTRIBUTING that lists the habits."""
    text = re.sub(r"`[^`\n]+`", "", page.read_text())
    return text.partition("\n## Words\n")[0] if page.name == "CONTRIBUTING.md" else text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_none_of_the_habits(page: Path) -> None:
    """Help of commands, settings and answers of HTTP are on pages that are made of the program."""
    lines = said(page).splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if HABITS.search(line)] == []


def texts_of_errors_and_warnings(source: str) -> Iterator[str]:
    """Every text in a `raise`, in what is called ...Error, and in a line of a log."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Raise(exc=ast.expr()):
                yield from _texts(node)
            case ast.Call(func=ast.Name(id=name)) if name.endswith("Error"):
                yield from _texts(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
                yield from _texts(node)
            case _:
                pass


def _texts(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


@pytest.mark.parametrize("room", ROOMS)
def test_an_error_or_a_warning_has_none_of_the_habits(room: str) -> None:
    sources = (ROOT / room).glob("*.py") if room == "axonstream" else (ROOT / room).rglob("*.py")
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in sources
        for text in texts_of_errors_and_warnings(path.read_text())
        if HABITS.search(text)
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    "habit",
    [
        "Records are read anew.",
        "Nobody is told.",
        "What is no event goes to dead letters.",
        "That is no acknowledgement.",
        "It holds for ever.",
        "without hole or double",
        "all but for one",
        "Whoever writes them",
    ],
)
def test_a_habit_is_found(habit: str) -> None:
    assert HABITS.search(habit)

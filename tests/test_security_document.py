"""SECURITY.md: a promise without a test that exists is none."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text()
ATTACKS = [f"S{number}" for number in range(1, 25)]


def test_every_promise_links_to_tests_that_exist() -> None:
    promises = [line for line in SECURITY.splitlines() if line.startswith("|")][2:]
    assert len(promises) > 5
    for promise in promises:
        linked = re.findall(r"\]\((tests/[^)]+)\)", promise)
        assert linked, promise
        assert [path for path in linked if not (ROOT / path).is_file()] == []


def test_it_says_how_to_report_and_who_is_trusted_and_names_no_address() -> None:
    """S24, and what was known to its writers alone: that whoever writes to Kafka is trusted."""
    assert "private security advisory" in SECURITY
    assert "Anyone who can write to Kafka" in SECURITY
    assert re.findall(r"\S+@\S+|https?://\S+", SECURITY) == []
    assert "[SECURITY.md](SECURITY.md)" in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_every_attack_is_listed_with_the_files_whose_docstrings_name_it() -> None:
    rows = re.findall(r"^\| (S\d+) \|(.*)$", (ROOT / "docs/attacks.md").read_text(), flags=re.MULTILINE)
    listed = {number: set(re.findall(r"\]\(\.\./(tests/[^)]+)\)", row)) for number, row in rows}
    assert listed == {number: files_that_name(number) for number in ATTACKS}


def files_that_name(attack: str) -> set[str]:
    """The test files in which the docstring of the module or of a test begins with the number."""
    return {path for path, begun in docstrings() if re.match(rf"{attack}\b", begun)}


@cache
def docstrings() -> list[tuple[str, str]]:
    """Of all test modules and their functions, each with its file."""
    found: list[tuple[str, str]] = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        documented = (node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.FunctionDef)))
        found += [(path.relative_to(ROOT).as_posix(), ast.get_docstring(node) or "") for node in documented]
    return found

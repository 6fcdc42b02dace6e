"""The list of guards fits the code: each text stands once, each test exists. `make guards` removes them for real."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from guard_removals import ROOT, Removal, read_removals
from guard_table import BEGIN, DOCUMENT, with_table

REMOVALS = read_removals()


@pytest.mark.parametrize("removal", REMOVALS, ids=[removal.guard for removal in REMOVALS])
def test_the_guard_is_where_the_list_says_and_so_is_its_test(removal: Removal) -> None:
    assert (ROOT / removal.file).read_text().count(removal.old) == 1
    path, _, name = removal.test.partition("::")
    assert not name or re.sub(r"\[.*", "", name.rpartition("::")[2]) in names_of_tests(path)
    if removal.file.endswith(".py"):  # a test that cannot import the code proves nothing
        ast.parse((ROOT / removal.file).read_text().replace(removal.old, removal.new))


@cache
def names_of_tests(path: str) -> set[str]:
    """Many guards have their tests in one file."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))} | _assigned(tree)


def _assigned(tree: ast.Module) -> set[str]:
    """Names of stateful tests: `TestX = Machine.TestCase`."""
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)} | {"runTest"}


def test_each_guard_is_named_once() -> None:
    names = [removal.guard for removal in REMOVALS]
    assert sorted(set(names)) == sorted(names)


def test_the_table_in_the_architecture_is_that_of_the_list() -> None:
    text = DOCUMENT.read_text()
    assert BEGIN in text
    assert text == with_table(text, REMOVALS), "write it anew: python tests/guards/guard_table.py"

"""What the documents name in backticks, and whether it exists.

A name is looked up where things of its kind are: files on the disk, commands and options in the command line, targets
in the Makefile, settings in `Settings`, metrics in a scrape, calls and headers and fields in the OpenAPI document.
Any other name must be made of words that the program has: names of Python, texts that are not docstrings, and SQL
without its comments. So a name that only a comment, a docstring or a document still has is stale.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import click

from axonstream.cli.main import main
from axonstream.settings.settings import Settings
from kit.rooms import ROOMS

ROOT = Path(__file__).parents[2]
PROGRAM = (*ROOMS, "benchmarks", "examples")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"[^\W\d_][\w]*|_[\w]+")
_FILE = re.compile(r"[\w./*-]*(/|\.(py|md|toml|sql|lock|env|jsonl?|csv|txt|yaml))")
_ROUTE = re.compile(r"((?:GET|POST|PUT|PATCH|DELETE) )?(/[\w/{}.-]*)(\?.*)?")


def names(text: str) -> list[str]:
    """Each name once, in the order of the text; what stands between fences is left out: other tests run it."""
    found = _NAME.findall(_FENCE.sub("", text))
    return list(dict.fromkeys(" ".join(one.split()) for one in found))


@dataclass(frozen=True, kw_only=True)
class Named:
    """What exists, by kind; `others` are the literals that belong to other programs, with the reason for each."""

    metrics: frozenset[str]
    routes: frozenset[tuple[str, str]]
    fields: frozenset[str]
    others: frozenset[str]

    def stale(self, text: str, page: Path) -> list[str]:
        """The names of a page that nothing has."""
        return [one for one in names(text) if not self._exists(one, page)]

    def _exists(self, name: str, page: Path) -> bool:
        if name in self.others:
            return True
        first = name.split(maxsplit=1)[0]
        program = Path(first).name
        if program == "axonstream" and name != "axonstream":
            return _is_command(name)
        if program == "make" and name != "make":
            return shlex.split(name)[1] in self._targets
        if first in {"curl", "pip", "pre-commit"}:  # their own words; no part of them is ours
            return True
        if _FILE.fullmatch(name):
            return self._is_file(name, page) or (name.startswith("/") and self._is_route(name))
        if route := _ROUTE.fullmatch(name):
            return self._is_route(name) and all(self._is_word(word) for word in _WORD.findall(route[3] or ""))
        return all(self._is_word(word) for word in _WORD.findall(name))

    def _is_route(self, name: str) -> bool:
        """`/traces/{id}` is `/traces/{trace_id}`: what is in brackets may have a shorter name."""
        said = _ROUTE.fullmatch(name)
        if said is None:
            return False
        method, path = said[1], re.sub(r"{\w+}", "{}", said[2])
        return any(path == known and method in (None, f"{verb} ") for verb, known in self.routes)

    def _is_file(self, name: str, page: Path) -> bool:
        """A path from the root or from the page, the end of one (`event_log.py`), or a file that the program writes."""
        if any((folder / name).exists() for folder in (ROOT, page.parent)):
            return True
        if any(fnmatch(path, name) or fnmatch(path, f"*/{name.rstrip('/')}") for path in self._files):
            return True
        return Path(name).name in self._texts

    def _is_word(self, word: str) -> bool:
        if word.startswith("AXONSTREAM_"):
            return word.removeprefix("AXONSTREAM_").lower() in Settings.model_fields or word in self._words
        if word.startswith("axonstream_gateway_"):
            return word in self.metrics
        return word in self._words or word in self.fields

    @cached_property
    def _targets(self) -> frozenset[str]:
        return frozenset(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    @cached_property
    def _files(self) -> frozenset[str]:
        folders = [*PROGRAM[1:], "tests", "docs"]
        found = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
        found += [path for path in (ROOT / "axonstream").iterdir() if not path.is_symlink()]
        found += (ROOT / "axonstream" / "testing").iterdir()
        return frozenset(path.relative_to(ROOT).as_posix() for path in found)

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(
            str(node.value)
            for path in _sources(PROGRAM, "*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant)
        )

    @cached_property
    def _words(self) -> frozenset[str]:
        found: set[str] = set()
        for path in _sources(PROGRAM, "*.py"):
            found.update(_words_of(path.read_text()))
        for path in _sources(PROGRAM, "*.sql"):
            found.update(_WORD.findall(re.sub(r"--.*", "", path.read_text())))
        for path in _sources(("tests",), "*.py"):
            found.update(_definitions(path.read_text()))
        for path in (ROOT / "local").rglob("*.txt"):
            found.update(path.read_text().split())
        for path in (ROOT / "pyproject.toml", ROOT / "Makefile"):
            found.update(_WORD.findall(re.sub(r"(?m)#.*", "", path.read_text())))
        found.update(part for path in self._files for part in _WORD.findall(path))
        return frozenset(found)


def _sources(folders: Iterable[str], pattern: str) -> Iterator[Path]:
    for folder in folders:
        for path in (ROOT / folder).rglob(pattern):
            if not any(parent.is_symlink() for parent in path.parents):  # as rooms are in the package
                yield path


def _words_of(source: str) -> Iterator[str]:
    """Names and texts of a module, without its comments and docstrings."""
    tree = ast.parse(source)
    prose = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=value):
                text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                yield from () if id(node) in prose else _WORD.findall(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield from _WORD.findall(name)
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case _:
                pass


def _definitions(source: str) -> Iterator[str]:
    """What a test defines; what it only speaks of may be of yesterday."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case _:
                pass


def _is_command(line: str) -> bool:
    """`axonstream keys list --all`: each word a command until the first that is none, each option one of it."""
    command: click.Command = main
    for word in shlex.split(line)[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return False
            command = command.commands[word]
        elif word.startswith("-"):
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.partition("=")[0] not in {*options, "--help"}:
                return False
    return True

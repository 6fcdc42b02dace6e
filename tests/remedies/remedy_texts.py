"""Every text of the product that names a remedy: a command, an option, a setting, or what to delete or install."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Generator
from dataclasses import dataclass

from kit.rooms import ROOMS, ROOT

# They describe what there is, and tell nobody what to do.
DESCRIPTIONS = {"sinks/shown_schema.py", "gateway/metrics.py", "gateway/openapi.py", "gateway/managing/openapi.py"}
COMMAND = re.compile(
    r"(?<!an )axonstream (?:audit|clickhouse|dead-letters|demo|gateway|init|kafka|keys|prices|processor|"
    r"rebuild-summaries|repair|sink|sql|trace|up|verify)\b(?!:)(?: (?:create|discard|list|replay|revoke|show)\b)?"
)
_REMEDY = re.compile(
    COMMAND.pattern + r"|AXONSTREAM_[A-Z_]*[A-Z]|(?<![\w-])--[a-z][a-z-]*[a-z]|\bmake [a-z-]+(?=  )|kafka-[a-z-]+\.sh|"
    r"openssl rand|pip install|\bchown\b|\b[Dd]elete (?!a\b)|give each its own name|set its [a-z.]+|Mend the table|"
    r"Start the newer version|restore the file|stop what listens there"
)
_LEAST_WORDS = 3


@dataclass(frozen=True)
class Remedy:
    """One text: where it stands, and what it names, in order of the alphabet. `test` follows it."""

    file: str
    names: tuple[str, ...]
    test: str = ""

    @property
    def place(self) -> tuple[str, tuple[str, ...]]:
        return self.file, self.names


def in_the_code() -> list[tuple[str, tuple[str, ...], str]]:
    """File, names and text."""
    found: list[tuple[str, tuple[str, ...], str]] = []
    for package in ROOMS:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            if file in DESCRIPTIONS:
                continue
            for text in _texts(ast.parse(path.read_text())):
                names = {name.strip().lower() if "elete" in name else name for name in _REMEDY.findall(text)}
                if names and len(text.split()) >= _LEAST_WORDS:
                    found.append((file, tuple(sorted(names)), text))
    return found


def in_the_list() -> list[Remedy]:
    document = tomllib.loads((ROOT / "tests" / "remedies" / "remedies.toml").read_text())
    return [Remedy(one["file"], tuple(one["names"]), one["test"]) for one in document["remedy"]]


def _texts(tree: ast.Module) -> Generator[str]:
    """String literals as they are printed, with {} for what is put in; docstrings and descriptions are left out."""
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        if isinstance(node, ast.keyword) and node.arg in ("description", "help", "metavar"):
            left_out |= {id(inner) for inner in ast.walk(node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in left_out:
            left_out |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value

"""Imports go one way, and the lock file names no host."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("axonstream", "producers", "stream_processors", "sinks", "gateway", "deploy")
# `axonstream.KafkaPublisher` is a lazy name for the class of producers: the one exception.
EXCEPTIONS = {("axonstream/__init__.py", "producers")}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_itself_and_the_layers_before_it(layer: str) -> None:
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    wrong = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file) & later
        if (str(file.relative_to(ROOT)), name) not in EXCEPTIONS
    }
    assert wrong == set()


def test_no_server_part_reads_the_environment_outside_of_the_settings() -> None:
    allowed = {
        "deploy/supervised_part.py",  # hands the environment on to the parts that it starts
        "axonstream/http_environment.py",  # no server part: proxies and certificates, as every HTTP client reads them
    }
    wrong = [
        str(file.relative_to(ROOT))
        for layer in LAYERS
        for file in (ROOT / layer).rglob("*.py")
        if "os.environ" in file.read_text() and str(file.relative_to(ROOT)) not in allowed
    ]
    assert wrong == []

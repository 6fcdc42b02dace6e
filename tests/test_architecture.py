"""Imports go one way, and each module has one name."""

from __future__ import annotations

import ast
from collections.abc import Generator
from pathlib import Path

import pytest

from kit.rooms import ROOMS, ROOT, SERVER_ROOMS

# `axonstream.KafkaPublisher` is a lazy name for the class of producers: the one exception.
EXCEPTIONS = {("axonstream/__init__.py", "producers")}

# The modules of stream_processors that know aiokafka, and those that start the app. Those of faust_adapter know Faust.
# All others are the domain.
KAFKA = {"changelog_fence", "continuity", "price_follower", "rebuild", "summaries_end", "topic_check"}
STARTS_THE_APP = {"app", "application", "worker"}


def imported(file: Path) -> set[str]:
    """The layers of what it imports: `axonstream.sinks.worker` is `sinks`, `axonstream.client` is `axonstream`."""
    names: set[str] = set()
    for module in imported_modules(file):
        first, _, rest = module.partition(".")
        if first == "axonstream":
            names.add(rest.partition(".")[0] if rest.partition(".")[0] in ROOMS else first)
    return names


def imported_modules(file: Path) -> Generator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "axonstream")


@pytest.mark.parametrize("layer", ROOMS)
def test_a_layer_imports_only_itself_and_the_layers_before_it(layer: str) -> None:
    later = set(ROOMS[ROOMS.index(layer) + 1 :])
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    wrong = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file) & later
        if (str(file.relative_to(ROOT)), name) not in EXCEPTIONS
    }
    assert wrong == set()


def test_the_domain_of_the_processor_knows_neither_faust_nor_kafka() -> None:
    """Nor does what asks Kafka know Faust."""
    modules = {file.stem: set(imported_modules(file)) for file in (ROOT / "stream_processors").glob("*.py")}
    around = KAFKA | STARTS_THE_APP
    assert around < modules.keys()
    ours = "axonstream.stream_processors."
    for name in modules.keys() - STARTS_THE_APP:
        libraries = {module.partition(".")[0] for module in modules[name]}
        rooms = {module.removeprefix(ours).partition(".")[0] for module in modules[name] if module.startswith(ours)}
        unknown = {"faust", "mode"} if name in KAFKA else {"faust", "mode", "aiokafka"}
        others = {"faust_adapter", *(STARTS_THE_APP if name in KAFKA else around)}
        assert (name, libraries & unknown, rooms & others) == (name, set(), set())


def test_a_module_has_one_name() -> None:
    """The root of a checkout is on the path, too: as `sinks.worker`, a module would be there twice, with two states."""
    files = [file for folder in (*ROOMS, "tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > len(ROOMS)
    short = {f"{file.relative_to(ROOT)}: {name}" for file in files for name in imported_modules(file)}
    assert [one for one in short if one.partition(": ")[2].partition(".")[0] in SERVER_ROOMS] == []


def test_the_folders_of_the_package_are_those_beside_it() -> None:
    assert {path.name: path.readlink() for path in (ROOT / "axonstream").iterdir() if path.is_symlink()} == {
        layer: Path("..") / layer for layer in SERVER_ROOMS
    }


def test_no_server_part_reads_the_environment_outside_of_the_settings() -> None:
    allowed = {
        "local/supervised_part.py",  # hands the environment on to the parts that it starts
        "axonstream/http_environment.py",  # no server part: proxies and certificates, as every HTTP client reads them
    }
    wrong = [
        str(file.relative_to(ROOT))
        for layer in ROOMS
        for file in (ROOT / layer).rglob("*.py")
        if "os.environ" in file.read_text() and str(file.relative_to(ROOT)) not in allowed
    ]
    assert wrong == []


def modules() -> dict[str, Path]:
    """Every module of the layers, by its full name."""
    found = {f"axonstream.{path.stem}": path for path in (ROOT / "axonstream").glob("*.py")}
    for layer in SERVER_ROOMS:
        for path in (ROOT / layer).rglob("*.py"):
            found[".".join(("axonstream", *path.relative_to(ROOT).with_suffix("").parts))] = path
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def arrows() -> dict[str, set[str]]:
    """Module -> the modules that it imports, for types alone too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        named = {(node.module or "", alias.name) for node in imports for alias in node.names}
        found[name] = {f"{m}.{a}" if f"{m}.{a}" in known else m for m, a in named} & known.keys() - {name}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """What is left when all that leads nowhere, and all that nothing leads to, is taken away."""
    left = {one: set(others) for one, others in graph.items()}
    while True:
        led_to = {other for others in left.values() for other in others}
        gone = {one for one, others in left.items() if not others & left.keys() or one not in led_to}
        if not gone:
            return sorted(left)
        left = {one: others - gone for one, others in left.items() if one not in gone}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(arrows()) == []


def test_no_part_of_a_room_imports_itself_by_way_of_others() -> None:
    parts: dict[str, set[str]] = {}
    for name, others in arrows().items():
        part = name.rpartition(".")[0]
        below = {other.rpartition(".")[0] for other in others if other.count(".") > 2}
        if name.count(".") > 2:
            parts.setdefault(part, set()).update(below - {part})
    assert "axonstream.gateway.reading" in parts
    assert circle(parts) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]

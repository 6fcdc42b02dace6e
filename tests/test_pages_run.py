"""The programs and commands of docs/quick-start.md, docs/sdk.md and docs/install.md do what the pages say."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from axonstream import errors
from axonstream.local.endpoints import Endpoints
from axonstream.version import VERSION
from kit.document_programs import ROOT, commands, options_of, run

BIN = Path(sys.executable).parent
INSTALL, QUICK_START, SDK = (ROOT / "docs" / name for name in ("install.md", "quick-start.md", "sdk.md"))
_PROGRAM = re.compile(r"```python\n(?P<program>.*?)```\n(?:(?!```python).)*?```text\n(?P<printed>.*?)```", re.DOTALL)
_TRACE = re.compile(r"tr_[0-9a-f]{16}\b")


class Program(NamedTuple):
    """One program of a page, and the output that the page shows for it."""

    text: str
    printed: str

    def run(self, endpoints: Endpoints) -> str:
        text = self.text.replace("http://127.0.0.1:8080", endpoints.gateway_url)
        return run(sys.executable, "-c", text.replace("127.0.0.1:9092", endpoints.kafka_bootstrap_servers))


def programs(page: Path) -> list[Program]:
    text = page.read_text()
    found = [Program(one["program"], one["printed"]) for one in _PROGRAM.finditer(text)]
    assert len(found) == text.count("```python"), "a program shows no output"
    return found


def same(text: str) -> str:
    """Trace ids are made anew for each run."""
    return _TRACE.sub("tr_57dafbf95599aca3", text)


@pytest.mark.services
@pytest.mark.parametrize("number", range(len(programs(SDK))))
def test_a_program_of_the_sdk_page_prints_what_it_shows(number: int, endpoints: Endpoints) -> None:
    program = programs(SDK)[number]
    assert same(program.run(endpoints)) == program.printed


@pytest.mark.services
def test_the_quick_start_shows_what_happens(endpoints: Endpoints, stack_directory: Path) -> None:
    [program] = programs(QUICK_START)
    printed = program.run(endpoints)
    assert same(printed) == program.printed
    [trace] = _TRACE.findall(printed)
    for line in commands(QUICK_START.read_text()):
        words = shlex.split(line.replace("tr_57dafbf95599aca3", trace))
        if words[0].endswith("axonstream"):
            words[-1] = words[-1].replace("FROM events", f"FROM events WHERE trace_id = '{trace}'")
            answer = run(str(BIN / "axonstream"), *words[1:], "--data-dir", str(stack_directory))
            assert trace in answer or answer in QUICK_START.read_text()


def test_every_command_of_the_pages_exists() -> None:
    for page in (INSTALL, QUICK_START):
        for line in commands(page.read_text()):
            words = shlex.split(line)
            if words[0] == "make":
                run("make", "--dry-run", words[1])
            elif Path(words[0]).name == "axonstream":
                options = [word for word in words[1:] if word.startswith("-")]
                assert set(options) <= {*options_of(words), "--help"}, line


def test_the_install_page_has_every_extra_and_the_wheel_of_this_version() -> None:
    text = INSTALL.read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert set(re.findall(r"^\| `axonstream\[(\w+)\]` \|", text, re.MULTILINE)) == extras - {"test", "dev"}
    assert set(re.findall(r"dist/axonstream-(.+?)-py3", text)) == {VERSION}


def test_the_sdk_page_has_every_error() -> None:
    told = set(re.findall(r"^\| `(\w+Error)` \|", SDK.read_text(), re.MULTILINE))
    known = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert told == known - {"AxonStreamError"}

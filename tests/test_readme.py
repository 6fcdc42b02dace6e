"""The commands and the program of the README do what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from axonstream import AxonPush
from axonstream.cli.main import main
from axonstream.local.endpoints import Endpoints
from kit.document_programs import ROOT, blocks, commands, options_of, run
from kit.rooms import ROOMS

README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
NO_OPTION = object()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(document: str) -> None:
    targets = [line.split()[1] for line in commands((ROOT / document).read_text()) if line.startswith("make ")]
    assert targets
    for target in targets:
        run("make", "--dry-run", target)


def test_the_first_three_commands_are_demo_test_and_up() -> None:
    assert commands(README)[:3] == ["make demo", "make test", "make up"]


def test_every_axonstream_command_that_is_named_exists() -> None:
    named = {line.split()[1] for line in commands(README) if re.match(r"(\.venv/bin/)?axonstream ", line)}
    assert named == {
        "trace",
        "sql",
        "verify",
        "repair",
        "dead-letters",
        "audit",
        "keys",
        "init",
        "gateway",
        "processor",
        "sink",
    }
    assert named <= main.commands.keys()


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", "docs/keys.md", "docs/audit.md", "docs/durability.md", "docs/partitions.md"],
)
def test_every_option_of_a_command_that_is_named_exists(document: str, pytestconfig: pytest.Config) -> None:
    """Of axonstream and pytest by what they know, of other programs by their --help."""
    text = (ROOT / document).read_text()
    for line in [*commands(text), *re.findall(r"`((?:\.venv/bin/)?(?:axonstream|pytest) [^`]*)`", text)]:
        words = shlex.split(line)
        named = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[A-Za-z]", word)]
        if "pytest" in (Path(words[0]).name, *words[1:3]):
            known = {
                "-m",
                *(name for name in named if pytestconfig.getoption(name, default=NO_OPTION) is not NO_OPTION),
            }
        else:
            known = options_of(words) if named else set[str]()
        assert set(named) <= known, f"{line}: {sorted(set(named) - known)}"


def test_every_file_that_the_documents_link_to_exists() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document} links to {target}"


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/guarantees.md", "docs/benchmarks.md"]
    + [f"docs/decisions/{path.name}" for path in sorted((ROOT / "docs/decisions").glob("*.md"))],
)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    folder = re.compile(rf"({'|'.join((*ROOMS, 'tests', 'benchmarks'))})/[\w/.]*")
    words = {word for line in commands(text) for word in line.split()}
    for name in filter(folder.fullmatch, words | set(re.findall(r"`([^`\s]+)`", text))):
        assert (ROOT / name).exists(), name


@pytest.mark.services
def test_the_program_prints_what_it_should(endpoints: Endpoints) -> None:
    program, _ = blocks("python", README)
    printed = run(sys.executable, "-c", program.replace("http://127.0.0.1:8080", endpoints.gateway_url))
    assert re.search(r"^Events: 2, Duration: \d+ms$", printed, flags=re.MULTILINE)
    assert "Errors: 0, Tool calls: 2" in printed
    assert re.search(r"\[sp_[0-9a-f]{16}_0001\] web_search \(agent.tool_call.start\)", printed)


@pytest.mark.services
def test_the_program_that_follows_events_prints_them_as_they_come(endpoints: Endpoints) -> None:
    _, program = blocks("python", README)
    program = program.replace("http://127.0.0.1:8080", endpoints.gateway_url)
    with (
        subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as following,
        AxonPush("ak_local", "1", base_url=endpoints.gateway_url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            assert following.stdout is not None
            printed = pool.submit(following.stdout.readline)
            for number in range(600):  # when the program has subscribed is not known: what comes before is not for it
                client.events.publish("followed", {"number": number}, channel_id=1, agent_id="researcher")
                if wait([printed], timeout=0.1).done:
                    break
            assert re.fullmatch(r"followed \{'number': \d+\}\n", printed.result(0))
        finally:
            following.kill()


@pytest.mark.services
def test_the_commands_that_look_at_traces_run(endpoints: Endpoints, stack_directory: Path) -> None:
    run(sys.executable, "-c", blocks("python", README)[0].replace("http://127.0.0.1:8080", endpoints.gateway_url))
    directory = ("--data-dir", str(stack_directory))
    listed = run(str(BIN / "axonstream"), "trace", "list", *directory)
    trace = re.findall(r"tr_[0-9a-f]{16}", listed)[0]
    assert trace in run(str(BIN / "axonstream"), "trace", "show", trace, *directory)
    (query,) = re.findall(r'axonstream sql "(.*?)"', README)
    assert "errors" in run(str(BIN / "axonstream"), "sql", query, *directory)

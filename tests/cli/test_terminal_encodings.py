"""Whatever encoding stdout has, a command prints: what it cannot encode is replaced, one character for one."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.text import Text

from axonstream import Event
from axonstream.cli import terminal_text
from axonstream.cli.terminal_text import print_lines, print_table, say, terminal_width
from axonstream.cli.trace_command import _print_json

TREE = "1  planner  ├─ r\u00e9sum\u00e9 模  └─ 🙂 · …"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8", "gb2312", "shift_jis"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace"])
def test_every_way_to_print_survives_any_encoding(encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trace show` ended with UnicodeEncodeError on a Windows code page, when piped."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors, write_through=True))
    say(TREE)
    print_lines([Text(TREE)])
    print_table(["name"], [[TREE]], [False])
    lines = written.getvalue().decode(encoding, "replace").splitlines()  # click takes ASCII for a mistake
    assert len(lines) == 5
    assert all(line.startswith("1  planner") for line in (lines[0], lines[1], lines[4]))
    assert encoding != "utf-8" or lines[0] == TREE


def test_branches_become_the_nearest_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252", write_through=True, newline=""))
    say("│  ├─ résumé 模 └─")
    assert written.getvalue() == "|  |- résumé ? `-\n".encode("cp1252")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_real_process_with_such_a_stdout_ends_with_0(encoding: str, tmp_path: Path) -> None:
    program = """
from axonstream.cli.main import main
from axonstream.cli.terminal_text import say
import click

@main.command()
def tree():
    say("├─ 模 · …")

@main.command()
def failing():
    raise click.ClickException("├─ 模")

main(prog_name="axonstream")
"""
    file = tmp_path / "program.py"
    file.write_text(program, "utf-8")
    root = str(Path(__file__).parents[2])
    for word, code in (("tree", 0), ("failing", 1), ("--help", 0)):
        done = subprocess.run(
            [sys.executable, str(file), word],
            env={"PYTHONIOENCODING": encoding, "PYTHONPATH": root},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr


def test_the_width_is_the_terminals_and_of_a_file_100(monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal_text.Console
    assert terminal_width() == 100
    for columns, width in ((60, 60), (80, 80), (200, 200), (10, 40)):
        monkeypatch.setattr(terminal_text, "Console", partial(console, force_terminal=True, width=columns))
        assert terminal_width() == width


def test_json_on_a_terminal_is_ascii_and_the_same_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """`trace show -o json` on a terminal ended with a TypeError: only in a pipe were models written."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(written, "cp1252", write_through=True, newline=""))
    event = Event(event_id=1, identifier="\x1b[2J模", payload={"n": 2**70}, trace_id="tr_1")
    _print_json({"events": [event]})
    assert written.getvalue().isascii()
    [found] = json.loads(written.getvalue())["events"]
    assert (found["identifier"], found["payload"]) == ("\x1b[2J模", {"n": 2**70})

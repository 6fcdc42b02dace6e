"""Nothing that a sender, a server or a log says has an effect on the terminal of whoever runs a command."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from axonstream.cli.main import main
from axonstream.cli.terminal_text import HarmlessGroup, say, say_json
from axonstream.local.supervised_part import PartSpec, SupervisedPart
from kit.hostile_text import HOSTILE, effects

ROOT = Path(__file__).parents[2]
# The lines "ready ...", which the supervisor waits for, and a server that is run by its module alone.
PRINTS = {("local/clickhouse_http/__main__.py", "print"), ("local/clickhouse_http/server.py", "print")}


def test_the_last_lines_of_a_log_have_no_effect_on_the_terminal(tmp_path: Path) -> None:
    """S22: `axonstream up` printed the last lines of a part's log raw."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "gateway.log").write_text(f"one\n{HOSTILE}\n{'x' * 1000}{HOSTILE}\nlast\n")
    said = SupervisedPart(PartSpec("gateway", ("gateway",)), tmp_path, say)._complaint("ended")
    assert effects(said) == []
    assert "\\x1b[2J" in said
    assert said.endswith("\n  last")


def test_an_error_of_any_command_has_no_effect_on_the_terminal() -> None:
    """S22, the kind: an error message is made of what a server answered or an exception said."""

    @click.group(cls=HarmlessGroup)
    def group() -> None: ...

    @group.command()
    def failing() -> None:
        raise click.ClickException(f"first\n{HOSTILE}")

    @group.command()
    @click.argument("number", type=int)
    def counting(number: int) -> None: ...

    for words in (["failing"], ["counting", HOSTILE], [HOSTILE], ["failing", f"--{HOSTILE}"]):
        done = CliRunner().invoke(group, words)
        assert done.exit_code in (1, 2)
        assert effects(done.stderr) == [], words
    assert CliRunner().invoke(group, ["failing"]).stderr.startswith("Error: first\na\\x1b]0;owned")


def test_every_group_of_commands_has_harmless_errors() -> None:
    groups = [main, *(command for command in main.commands.values() if isinstance(command, click.Group))]
    assert len(groups) >= 4
    assert [group.name for group in groups if not isinstance(group, HarmlessGroup)] == []


def test_what_is_said_has_no_effects_and_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one\n{HOSTILE}")
    say_json({"name": HOSTILE})
    printed = capsys.readouterr().out
    assert effects(printed) == []
    first, _, document = printed.splitlines()
    assert first == "one"
    assert json.loads(document) == {"name": HOSTILE}


def test_one_file_writes_to_the_terminal() -> None:
    """S22, the kind: whoever prints past `terminal_text` has to think of escape sequences, and one day will not."""
    found: set[tuple[str, str]] = set()
    for file in (file for room in ("deploy", "local", "cli") for file in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and (written := _writes(node.func)):
                found.add((file.relative_to(ROOT).as_posix(), written))
    assert {place for place in found if place[0] != "cli/terminal_text.py"} == PRINTS


def _writes(called: ast.expr) -> str:
    text = ast.unparse(called)
    return text if text in {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"} else ""

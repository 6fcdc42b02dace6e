"""Every text that names a remedy stands in remedies.toml with the test that follows it, and the remedy exists."""

from __future__ import annotations

import ast
import re
from collections import Counter

import click
import pytest
from remedy_texts import COMMAND, ROOT, Remedy, in_the_code, in_the_list

from axonstream.cli.main import main
from axonstream.settings.settings import Settings


@pytest.mark.slow
def test_every_text_that_names_a_remedy_is_in_the_list() -> None:
    """A new message needs a line in remedies.toml, and so a test that does what the message says."""
    found = Counter((file, names) for file, names, _ in in_the_code())
    listed = Counter(remedy.place for remedy in in_the_list())
    assert found - listed == Counter(), "in the code, and not in the list"
    assert listed - found == Counter(), "in the list, and not in the code"


@pytest.mark.slow
def test_every_line_of_the_list_names_a_test_that_exists() -> None:
    missing: list[str] = []
    for remedy in in_the_list():
        assert remedy.test, f"{remedy.file} {remedy.names}: no test follows it"
        path, _, name = remedy.test.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        if name not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            missing.append(remedy.test)
    assert missing == []


def command_of(words: list[str]) -> click.Command:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        assert word in command.commands, words
        command = command.commands[word]
    return command


def options_of(command: click.Command) -> set[str]:
    own = {option for one in command.params for option in one.opts}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(options_of, inner))


@pytest.mark.parametrize("remedy", in_the_list(), ids=lambda remedy: f"{remedy.file}: {' '.join(remedy.names)}")
def test_what_a_text_names_exists(remedy: Remedy) -> None:
    """Settings, commands and options: a remedy that cannot be typed helps nobody. No tool is named but ours."""
    for name in remedy.names:
        if COMMAND.fullmatch(name):
            command_of(name.split()[1:])
        elif name.startswith("AXONSTREAM_"):
            assert name.removeprefix("AXONSTREAM_").lower() in Settings.model_fields
        elif name.startswith("--"):
            assert name in options_of(main)
        else:
            assert re.match(r"(make|openssl|pip|chown|delete|give|set|Mend|Start|restore|stop)\b", name)


@pytest.mark.slow
def test_every_command_that_a_part_can_name_reaches_a_local_stack_anywhere() -> None:
    """Delivery 3: `axonstream init` could not be told which stack; its Kafka has any port."""
    parts = ("producers/", "stream_processors/", "sinks/", "gateway/")
    named = {name for file, names, _ in in_the_code() if file.startswith(parts) for name in names}
    commands = {name for name in named if COMMAND.fullmatch(name)}
    assert commands
    for name in commands:
        assert "--data-dir" in {option for one in command_of(name.split()[1:]).params for option in one.opts}, name

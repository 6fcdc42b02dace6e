"""The commands and programs of a document, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click

from axonstream.cli.main import main

ROOT = Path(__file__).parents[2]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh", text) for line in block.splitlines()]
    return [line for line in lines if line]


def run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def options_of(words: list[str]) -> set[str]:
    program = Path(words[0]).name
    if program == "axonstream":
        command: click.Command = main
        for word in words[1:]:
            command = command.commands.get(word, command) if isinstance(command, click.Group) else command
        return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if program.startswith("python"):
        script = next(word for word in words[1:] if not word.startswith("-"))
        named = ["-m", script] if "-m" in words else [script]
        return {"-m", *options_in_help(sys.executable, *named)}
    return options_in_help(words[0])


@cache
def options_in_help(*program: str) -> set[str]:
    return set(re.findall(r"--?[A-Za-z][\w-]*", run(*program, "--help")))

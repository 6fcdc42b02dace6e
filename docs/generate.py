"""The pages that are made of the program: `python docs/generate.py` writes them; with --check it compares them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sdk_reference import sdk_reference

from axonstream.cli.main import main
from axonstream.gateway.openapi import document
from axonstream.settings.settings import PARTS, Settings

DOCS = Path(__file__).parent
WIDTH = 80
_COMMON = {"400", "401", "403", "421", "429", "431", "503"}
_MADE = "This page is made of the program by `python docs/generate.py`.\n"


def pages() -> dict[str, str]:
    """Name of the file -> its text."""
    return {
        "settings.md": settings(),
        "cli.md": command_line(),
        "http.md": http(),
        "sdk-reference.md": sdk_reference(_MADE),
    }


def settings() -> str:
    """Every field, part by part."""
    lines = [
        "# Settings\n",
        (
            "Every setting is a variable of the environment. All parts read the same ones.\n"
            "The SDK reads none of them: its settings are arguments.\n"
        ),
        _MADE,
    ]
    told: set[str] = set()
    for title, part in PARTS.items():
        lines += [f"\n## {title}\n", "| variable | default | what it is |", "|---|---|---|"]
        for name in [name for name in part.model_fields if name not in told]:
            field = Settings.model_fields[name]
            lines.append(f"| `AXONSTREAM_{name.upper()}` | {_default(field)} | {_cell(field.description or '')} |")
            told.add(name)
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "none" if value is None or value == "" else f"`{_cell(str(value))}`"


def command_line() -> str:
    """The help of every command."""
    lines = ["# Command line\n", _MADE]
    top = click.Context(main, info_name="axonstream", terminal_width=WIDTH, **main.context_settings)
    for context in _contexts(top):
        lines += [f"\n## {context.command_path}\n", "```text", context.get_help(), "```"]
    return "\n".join(lines) + "\n"


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Each command as it is called: what its group says of the help holds for it."""
    yield context
    if isinstance(context.command, click.Group):
        for name, command in sorted(context.command.commands.items()):
            yield from _contexts(click.Context(command, parent=context, info_name=name, **command.context_settings))


def http() -> str:
    """Every call, with its parameters and what it may answer beside what any call may."""
    described = document()
    calls = [
        (path, method.upper(), call)
        for path, by_method in described["paths"].items()
        for method, call in by_method.items()
    ]
    event = described["components"]["schemas"]["EventInput"]
    common: dict[str, str] = {}
    for _, _, call in calls:
        for code in _COMMON & call["responses"].keys():
            common.setdefault(code, call["responses"][code]["description"])
    lines = [
        "# HTTP API\n",
        (
            "`/openapi.json` of a gateway has all of this for programs.\n"
            "A key goes into the header `X-API-Key`, its tenant into `x-tenant-id`.\n"
            "Errors are JSON: `message`, `code`, `hint`, `statusCode`.\n"
        ),
        _MADE,
        "\nAny call may answer one of these, besides its own:\n",
        "| status | when |",
        "|---|---|",
        *(f"| {code} | {_cell(common[code])} |" for code in sorted(common)),
        "\n## The event\n\n`POST /event` takes one, `POST /events` many. Fields that are not named here are ignored.\n",
        "| field | form | what it is |",
        "|---|---|---|",
        *(
            f"| `{name}` | {_cell(_kind(form))} | {'required; ' * (name in event.get('required', []))}"
            f"{_cell(form['description'])} |"
            for name, form in event["properties"].items()
        ),
    ]
    for path, method, call in calls:
        lines.append(f"\n## {method} {path}\n\n{call['summary']}.")
        if parameters := call.get("parameters"):
            lines += ["\n| parameter | in | what it is |", "|---|---|---|"]
            lines += [f"| `{one['name']}` | {one['in']} | {_cell(_form(one))} |" for one in parameters]
        told = {code: text["description"] for code, text in call["responses"].items()}
        own = {code: text for code, text in told.items() if common.get(code) != text}
        lines += ["\n| status | when |", "|---|---|", *(f"| {code} | {_cell(text)} |" for code, text in own.items())]
    return "\n".join(lines) + "\n"


def _form(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    of = " or ".join(one.get("format", one["type"]) for one in schema.get("anyOf", [schema]))
    if "enum" in schema:
        of = " or ".join(map(str, schema["enum"]))
    said = parameter.get("description", "")
    return f"{of}; {said}" if said else of


def _kind(schema: Mapping[str, Any]) -> str:
    return ", or ".join(_one_kind(one) for one in schema.get("anyOf", [schema]) if one.get("type") != "null")


def _one_kind(schema: Mapping[str, Any]) -> str:
    of = " or ".join(f"`{one}`" for one in schema["enum"]) if "enum" in schema else schema["type"]
    said = [of if isinstance(of, str) else " or ".join(of), schema.get("format", "")]
    if "pattern" in schema:
        said.append(f"`{schema['pattern']}`")
    if "maximum" in schema:
        said.append(f"{schema['minimum']} to {schema['maximum']}")
    if "maxLength" in schema:
        said.append(f"of at most {schema['maxLength']} characters")
    return " ".join(filter(None, said))


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    if "--check" in sys.argv:
        old = [file for file, text in pages().items() if (DOCS / file).read_text() != text]
        sys.exit(f"run `make docs`: {', '.join(old)}" if old else 0)
    for file, text in pages().items():
        (DOCS / file).write_text(text)
        sys.stdout.write(f"{file}\n")

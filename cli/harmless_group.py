"""Commands whose words have no effect on a terminal and end with no terminal's encoding."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click

from axonstream.process.harmless_text import harmless_lines


class HarmlessGroup(click.Group):
    """A group of commands whose error messages are harmless, whatever exception they were made of."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _harmless_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _harmless_errors():
            return super().invoke(ctx)


@contextmanager
def _harmless_errors() -> Generator[None]:
    take_any_text()
    try:
        yield
    except click.ClickException as error:
        error.message = harmless_lines(error.message)
        raise


def take_any_text() -> None:
    """What stdout and stderr cannot encode is printed as the nearest that they can: `|-` for a branch, or `?`.

    A Windows console, or PYTHONIOENCODING=cp1252, would else end the command with UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in {"strict", "surrogateescape"}:
            stream.reconfigure(errors=_NEAREST)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].translate(_IN_ASCII), error.end


class _InAscii(dict[int, str]):
    def __missing__(self, code: int) -> str:
        return "?"


_NEAREST = "axonstream-nearest"
_IN_ASCII = _InAscii(zip(map(ord, "│├└─…·"), "||`-~,", strict=True))
codecs.register_error(_NEAREST, _nearest)

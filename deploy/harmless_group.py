"""A group of commands whose error messages have no effect on a terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click

from producers.harmless_text import harmless_lines


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
    try:
        yield
    except click.ClickException as error:
        error.message = harmless_lines(error.message)
        raise

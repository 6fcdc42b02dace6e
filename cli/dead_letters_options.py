"""The options that say which dead letters are meant, the same for every command, and that nothing is meant by slip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click

from axonstream.cli.time_text import span_ms
from axonstream.event_contract import MAX_ID
from axonstream.sinks.dead_letters.filter import LetterFilter
from axonstream.unix_ms import EPOCH


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options chose; `everything` takes in letters that were replayed or discarded."""

    which: LetterFilter
    everything: bool
    limit: int | None

    def consented(self, all_open: bool) -> None:
        """Raises click.UsageError when every letter would be meant and nobody said so."""
        if not self.which.given() and not all_open:
            raise click.UsageError("this would mean every open letter: give a filter, or say so with --all-open")
        if self.which.given() and all_open:
            raise click.UsageError("--all-open means every letter: leave it out, or the filters")


class Time(click.ParamType):
    """ISO 8601, or how long ago, as milliseconds since 1970; UTC where no zone is given."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds since 1970."""
        if (span := span_ms(str(value))) is not None:
            return time.time_ns() // 1_000_000 - span
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            known = "30m, 12h or 7d ago, 2026-01-31T12:00 (UTC) or 2026-01-31T12:00+01:00"
            self.fail(f"{value!r} is not a time, as {known}", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round((moment - EPOCH).total_seconds() * 1000)


def filter_options(limit: int | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds the options, and hands them to the command as one `selection`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_selection(
            everything: bool, limit: int | None, since: int | None, until: int | None, trace: str | None,
            tenant: str | None, **options: Any,
        ) -> None:  # fmt: skip
            names = ("topic", "epoch", "partition", "offset", "reason")
            which = LetterFilter(
                **{name: options.pop(name) for name in names},
                tenant_id=tenant, trace_id=trace, since_ms=since, until_ms=until,
            )  # fmt: skip
            command(selection=Selection(which, everything, limit), **options)

        decorated = with_selection
        for option in reversed(_options(limit)):
            decorated = option(decorated)
        return decorated

    return decorate


def _options(limit: int | None) -> list[Callable[[Callable[..., None]], Callable[..., None]]]:
    return [
        click.option("--topic", help="The topic that has the record."),
        click.option("--partition", type=click.IntRange(0, (1 << 32) - 1)),
        click.option("--offset", type=click.IntRange(0, MAX_ID)),
        click.option(
            "--epoch", type=click.IntRange(0, (1 << 32) - 1), help="Epoch of the topic, if the topic was recreated."
        ),
        click.option("--reason", help="A part of the reason, in any case."),
        click.option("--tenant", help="Tenant that the record names."),
        click.option("--trace", help="Trace that the record names."),
        click.option("--since", type=Time(), help="30m, 12h, 7d ago, or ISO 8601; UTC where no zone is given."),
        click.option("--until", type=Time(), help="As --since; letters of this time itself are left out."),
        click.option("--limit", type=click.IntRange(1), default=limit, show_default=limit is not None),
        click.option("--all", "everything", is_flag=True, help="Also letters that were replayed or discarded."),
    ]

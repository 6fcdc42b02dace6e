"""`axonstream prices list|set|remove|import`: what tokens cost, written straight to the control topic.

Anyone who may write to Kafka may set prices: Kafka's ACLs are that boundary. Processors know of a change within a
second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import click
from aiokafka.errors import KafkaError

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.command_actor import command_actor
from axonstream.cli.dead_letters_options import Time
from axonstream.cli.price_file import PriceFileError, made_price, read_prices, usd
from axonstream.cli.terminal_text import HarmlessGroup, harmless, print_table, say, say_json
from axonstream.cli.time_text import count_text
from axonstream.contract.price_records import MOST_PRICES, PriceRecordError, RecordedPrices, encode_price, price_key
from axonstream.contract.prices import Price, PriceList, shown_time
from axonstream.gateway.control.audit_entry import MOST_SHOWN, Action, entry, shown
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.control_topic import read_control
from axonstream.kafka.errors import NoTopicError
from axonstream.local.endpoints import with_endpoints
from axonstream.process.exit_codes import UnreachableError
from axonstream.settings.settings import Settings

T = TypeVar("T")

READ_WITHIN_S = 20.0
_UNIT = "USD per 1,000,000 tokens"
_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)


class _Known(NamedTuple):
    """The prices that are there, how many records cannot be read, and where changes are written."""

    prices: PriceList
    unreadable: int
    control: ControlLog


@click.group(cls=HarmlessGroup)
def prices() -> None:
    """Look at and change what tokens cost, in US dollars per 1,000,000 tokens.

    Of a call that has a model and tokens, but no cost, the price list says the cost. A price holds for models of its
    name, else for models that begin with it; the longest name counts. It holds for calls from its time on, until the
    next price of its name. What a stored call costs does not change.
    """


@prices.command(name="list")
@click.option("--model", help="Only prices that calls of this model can have.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_DATA_DIR
def list_prices(model: str | None, output: Literal["text", "json"], data_dir: Path | None) -> None:
    """Print all prices, by name and time. `prices import` takes the JSON back.

    Where cached or reasoning tokens have no price of their own (-), they cost what input or output tokens cost.
    """

    async def act(known: _Known) -> tuple[list[Price], int]:
        return [one for one in known.prices if model is None or model.startswith(one.model)], known.unreadable

    found, unreadable = _run(data_dir, act)
    if output == "json":
        say_json([one.document() for one in found], indent=2)
    else:
        names = ["model", "valid from", "input", "output", "cached", "reasoning"]
        print_table(names, [_cells(one) for one in found], [False, False, True, True, True, True])
        say(f"{count_text(len(found), 'price')}, in {_UNIT}", to_stderr=True)
    if unreadable:
        say(f"{unreadable} records cannot be read: this version of axonstream did not write them", to_stderr=True)


@prices.command(name="set")
@click.argument("model")
@click.option("--input", "of_input", metavar="USD", help="Price of input tokens.")
@click.option("--output", "of_output", metavar="USD", help="Price of output tokens.")
@click.option("--cached-input", metavar="USD", help="Price of cached input tokens.  [default: that of input]")
@click.option("--reasoning", metavar="USD", help="Price of reasoning tokens.  [default: that of output]")
@click.option(
    "--no-price", is_flag=True, help="From then on the model has no price; its calls are counted as unpriced."
)
@click.option(
    "--from",
    "valid_from",
    type=Time(),
    metavar="TIME",
    help="ISO 8601, or 30m, 12h, 7d ago; UTC where no zone is given.  [default: now]",
)
@_DATA_DIR
def set_price(
    model: str,
    of_input: str | None,
    of_output: str | None,
    cached_input: str | None,
    reasoning: str | None,
    no_price: bool,
    valid_from: int | None,
    data_dir: Path | None,
) -> None:
    """Set the price of MODEL from a time on; it replaces the one that has the same time.

    MODEL is the name of a model or its beginning. A kind of token that you leave out has no price of its own.
    """
    given = {"input": of_input, "output": of_output, "cachedInput": cached_input, "reasoning": reasoning}
    if no_price == any(amount is not None for amount in given.values()):
        raise click.UsageError("give at least one of --input, --output, --cached-input and --reasoning, or --no-price")
    now_ms = time.time_ns() // 1_000_000
    try:
        amounts: dict[str, Decimal | None] = {kind: usd(amount, kind) for kind, amount in given.items()}
        price = made_price(model, now_ms - now_ms % 1000 if valid_from is None else valid_from, amounts)
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    async def act(known: _Known) -> str:
        before = known.prices.get(price.model, price.valid_from_ms)
        in_force = before if valid_from is not None else known.prices.find(price.model, now_ms)
        if in_force is not None and in_force.model == price.model and in_force.amounts() == price.amounts():
            return f"unchanged: {_said(in_force)}"
        if before is None:
            _check_room(len(known.prices) + 1)
        made = entry(
            command_actor(),
            Action.PRICES_SET,
            _subject(price),
            at=now_ms,
            before=None if before is None else shown(before),
            after=shown(price),
        )
        await known.control.enter(made, [encode_price(price)])
        return _said(price) + ("" if before is None else f"; before: {_amounts(before)}")

    say(harmless(_run(data_dir, act)))


@prices.command()
@click.argument("model")
@click.option(
    "--from",
    "valid_from",
    type=Time(),
    metavar="TIME",
    required=True,
    help="Time of the price, as `prices list` prints it.",
)
@_DATA_DIR
def remove(model: str, valid_from: int, data_dir: Path | None) -> None:
    """Remove the price of exactly this name and time. What stored calls cost does not change.

    To end a price at a time, use `prices set MODEL --no-price --from TIME`.
    """

    async def act(known: _Known) -> str:
        found = known.prices.get(model, valid_from)
        if found is None:
            times = [shown_time(one.valid_from_ms) for one in known.prices if one.model == model]
            there = (
                f"there are prices of it from {', '.join(times)}" if times else "`axonstream prices list` prints all"
            )
            raise click.ClickException(f"there is no price of {model} from {shown_time(valid_from)}; {there}")
        made = entry(
            command_actor(),
            Action.PRICES_REMOVE,
            _subject(found),
            at=time.time_ns() // 1_000_000,
            before=shown(found),
        )
        await known.control.enter(made, [(price_key(model, valid_from), None)])
        return f"removed: {_said(found)}"

    say(harmless(_run(data_dir, act)))


@prices.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@_DATA_DIR
def import_prices(file: Path, dry_run: bool, data_dir: Path | None) -> None:
    """Set the prices of FILE, which is JSON as `prices list -o json` prints, or CSV where its name ends with .csv.

    The whole file is checked first. Prices that are there already are not written again, others stay as they are. The
    columns of a CSV file are model, validFrom, input, output, cachedInput and reasoning.
    """
    try:
        wanted = read_prices(file)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
    except PriceFileError as error:
        raise click.ClickException(f"{file}: nothing is imported, mend this first:\n{error}") from None

    async def act(known: _Known) -> str:
        before = {(one.model, one.valid_from_ms): known.prices.get(one.model, one.valid_from_ms) for one in wanted}
        news = [one for one in wanted if before[one.model, one.valid_from_ms] != one]
        replaced = [one for one in news if before[one.model, one.valid_from_ms] is not None]
        _check_room(len(known.prices) + len(news) - len(replaced))
        if not dry_run:
            for at in range(0, len(news), MOST_SHOWN):
                await _write(known, news[at : at + MOST_SHOWN])
        lines = [
            f"changed: {_said(one)}; before: {_amounts(old)}"
            for one in replaced
            if (old := before[one.model, one.valid_from_ms]) is not None
        ]
        done = "would be " * dry_run
        counts = (
            f"{len(news) - len(replaced)} {done}new, {len(replaced)} {done}changed, {len(wanted) - len(news)} unchanged"
        )
        return "\n".join([*map(harmless, lines), f"{count_text(len(wanted), 'price')}: {counts}"])

    say(_run(data_dir, act))


async def _write(known: _Known, some: Sequence[Price]) -> None:
    """In one batch with their entry."""
    old = [known.prices.get(one.model, one.valid_from_ms) for one in some]
    made = entry(
        command_actor(),
        Action.PRICES_IMPORT,
        count_text(len(some), "price"),
        at=time.time_ns() // 1_000_000,
        before={_named(one): _amounts(one) for one in old if one is not None},
        after={_named(one): _amounts(one) for one in some},
    )
    await known.control.enter(made, list(map(encode_price, some)))


def _check_room(number: int) -> None:
    if number > MOST_PRICES:
        raise click.ClickException(
            f"there would be {number:,} prices, and {MOST_PRICES:,} is the most: leave out models that you do not use, "
            "or give the beginning of a name where several models have one price"
        )


def _run(data_dir: Path | None, act: Callable[[_Known], Coroutine[Any, Any, T]]) -> T:
    """What `act` returns on prices that are read; what goes wrong is one line."""
    settings = checked_settings()
    settings = with_endpoints(settings, data_dir or settings.data_dir)
    try:
        return asyncio.run(_acted(settings, act))
    except NoTopicError as error:
        raise UnreachableError(str(error)) from None
    except (KafkaError, UnavailableError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"{str(error) or 'the control topic could not be read in time'}: check that Kafka runs at "
            f"{settings.kafka_bootstrap_servers} and that `axonstream init` has made the topics"
        ) from None


async def _acted(settings: Settings, act: Callable[[_Known], Coroutine[Any, Any, T]]) -> T:
    recorded, unreadable = RecordedPrices(), set[bytes | None]()
    async with asyncio.timeout(READ_WITHIN_S), aclosing(read_control(settings)) as readings:
        async for reading in readings:
            for key, value in reading.pairs:
                unreadable.discard(key)
                try:
                    recorded.take(key, value)
                except PriceRecordError:
                    unreadable.add(key)
    control = ControlLog(settings, ControlData())
    try:
        return await act(_Known(recorded.price_list(), len(unreadable), control))
    finally:
        await control.stop()


def _cells(price: Price) -> list[str]:
    amounts = price.amounts()
    at = shown_time(price.valid_from_ms).removesuffix("T00:00:00Z")
    return [price.model, at, *(amounts.get(kind, "-") for kind in ("input", "output", "cachedInput", "reasoning"))]


def _named(price: Price) -> str:
    return f"{price.model} from {shown_time(price.valid_from_ms)}"


def _subject(price: Price) -> str:
    return f"price of {_named(price)}"


def _said(price: Price) -> str:
    return f"{_named(price)}: {_amounts(price)}"


def _amounts(price: Price) -> str:
    return shown(price)["usd_per_million_tokens"]

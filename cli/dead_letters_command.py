"""`axonstream dead-letters list|show|replay|discard`: what could not be stored, and what becomes of it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.dead_letters_audit import letters_entry
from axonstream.cli.dead_letters_options import Selection, filter_options
from axonstream.cli.dead_letters_view import print_letter, print_letters, print_reasons
from axonstream.cli.terminal_text import HarmlessGroup, harmless, say
from axonstream.clickhouse.client import connect
from axonstream.gateway.control.audit_entry import Action
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.topics import Topics
from axonstream.local.endpoints import with_endpoints
from axonstream.process.exit_codes import UnreachableError
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.replay import replay as replay_letters
from axonstream.sinks.dead_letters.store import DeadLetterStore, LetterHead
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

Output = Literal["text", "json"]
T = TypeVar("T")

EXIT_SOME_REFUSED = 3
_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
_ALL_OPEN = click.option("--all-open", is_flag=True, help="Select every open letter; required if no filter is given.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.group(name="dead-letters", cls=HarmlessGroup)
def dead_letters() -> None:
    """Look at the records that could not be stored, publish them again, or put them aside.

    A letter is open until it was replayed or discarded; --all takes in those that were. Without --data-dir and
    AXONSTREAM_* settings it is the stack of .axonstream.
    """


@dead_letters.command(name="list")
@filter_options(limit=100)
@click.option("--by-reason", is_flag=True, help="Count the letters by reason instead.")
@_OUTPUT
@_DATA_DIR
def list_letters(selection: Selection, by_reason: bool, output: Output, data_dir: Path | None) -> None:
    """Print the letters that match, the latest first."""
    settings = _settings(data_dir)

    async def ask(box: DeadLetterStore) -> None:
        if by_reason:
            print_reasons(await box.reasons(selection.which, everything=selection.everything), output)
            return
        limit = selection.limit or 100
        letters = await box.newest(selection.which, limit + 1, everything=selection.everything)
        print_letters(letters[:limit], output)
        if len(letters) > limit:
            say(f"more letters match: raise --limit ({limit}), or count them with --by-reason", to_stderr=True)

    _run(settings, ask)


@dead_letters.command()
@filter_options()
@click.option("--raw", is_flag=True, help="Write the exact bytes of the value to stdout, and nothing else.")
@_OUTPUT
@_DATA_DIR
def show(selection: Selection, raw: bool, output: Output, data_dir: Path | None) -> None:
    """Print everything of the one letter that matches; letters that were decided on count, too."""
    settings = _settings(data_dir)

    async def ask(box: DeadLetterStore) -> None:
        found = await box.newest(selection.which, 2, everything=True)
        if len(found) != 1:
            many = "more than one letter matches" if found else "no letter matches"
            raise click.ClickException(
                f"{many}: name its place with --topic, --partition and --offset, as `axonstream dead-letters list "
                "--all` prints it, and its --epoch where a topic was created again"
            )
        place = found[0].place
        which = replace(
            selection.which, topic=place.topic, epoch=place.epoch, partition=place.partition, offset=place.offset
        )
        async with aclosing(box.opened(which, everything=True)) as slices:
            async for (letter,) in slices:
                if raw:
                    click.get_binary_stream("stdout").write(letter.value)
                else:
                    print_letter(letter, output)

    _run(settings, ask)


@dead_letters.command()
@filter_options()
@_ALL_OPEN
@_DRY_RUN
@_DATA_DIR
def replay(selection: Selection, all_open: bool, dry_run: bool, data_dir: Path | None) -> None:
    """Publish the records of the letters that match again, as they were sent.

    A letter counts once however often it is replayed: a record without a dedup key gets one of its place. What is
    still no event is said with its reason and stays open; then the exit code is 3.
    """
    selection.consented(all_open)
    settings = _settings(data_dir)

    async def act(box: DeadLetterStore) -> tuple[int, int]:
        counts = [0, 0]
        async with _log(settings, dry_run) as log, _audit(settings, Action.DEAD_LETTERS_REPLAY, "replayed") as enter:
            slices = box.opened(selection.which, everything=selection.everything, limit=selection.limit)
            async with aclosing(slices):
                events = Topics(settings.topic_prefix).events
                async for outcome in replay_letters(slices, box, log, events, _now_ms, enter):
                    counts[outcome.done] += 1
                    said = ("would replay" if dry_run else "replayed") if outcome.done else "not replayed"
                    say(harmless(f"{said} {outcome.place}: {outcome.what}"), to_stderr=not outcome.done)
        return counts[True], counts[False]

    done, refused = _run(settings, act)
    say(f"{done} {'would be replayed' if dry_run else 'replayed'}, {refused} not")
    if refused:
        sys.exit(EXIT_SOME_REFUSED)


@dead_letters.command()
@filter_options()
@_ALL_OPEN
@_DRY_RUN
@_DATA_DIR
def discard(selection: Selection, all_open: bool, dry_run: bool, data_dir: Path | None) -> None:
    """Put the letters that match aside: they are no longer listed, and their bytes stay until their time is over."""
    selection.consented(all_open)
    settings = _settings(data_dir)

    async def act(box: DeadLetterStore) -> int:
        count = 0
        pages = box.heads(selection.which, everything=selection.everything, limit=selection.limit)
        async with aclosing(pages), _audit(settings, Action.DEAD_LETTERS_DISCARD, "discarded") as enter:
            async for letters in pages:
                if not dry_run:
                    await enter(letters)  # first, so that nothing is discarded without its entry
                    await box.decide([letter.place for letter in letters], "discarded", _now_ms())
                for letter in letters:
                    said = "would discard" if dry_run else "discarded"
                    say(harmless(f"{said} {letter.place}: {letter.reason}"))
                count += len(letters)
        return count

    say(f"{_run(settings, act)} {'would be discarded' if dry_run else 'discarded'}")


def _settings(data_dir: Path | None) -> Settings:
    """The servers of the environment, or else of the local stack."""
    settings = checked_settings()
    return with_endpoints(settings, data_dir or settings.data_dir)


@asynccontextmanager
async def _log(settings: Settings, dry_run: bool) -> AsyncGenerator[EventLog | None]:
    if dry_run:
        yield None
        return
    log = EventLog.from_settings(settings, of_any_count=True)
    try:
        yield log
    finally:
        await log.stop()


@asynccontextmanager
async def _audit(
    settings: Settings, action: Action, state: str
) -> AsyncGenerator[Callable[[Sequence[LetterHead]], Awaitable[None]]]:
    """Enters letters in the audit log, before they are decided on. Connects at the first of them."""
    control = ControlLog(settings, ControlData())

    async def enter(heads: Sequence[LetterHead]) -> None:
        await control.enter(letters_entry(action, heads, state, _now_ms()))

    try:
        yield enter
    finally:
        await control.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _run(settings: Settings, act: Callable[[DeadLetterStore], Coroutine[Any, Any, T]]) -> T:
    """What `act` returns; servers that do not answer are one line and an exit code of their own."""

    async def with_client() -> T:
        client = await connect(settings)
        try:
            return await act(DeadLetterStore(client))
        finally:
            await client.close()

    try:
        return asyncio.run(with_client())
    except NotAcknowledgedError as error:
        raise UnreachableError(
            f"{harmless(str(error))}: check that Kafka runs at {settings.kafka_bootstrap_servers}, and run it again; "
            "what was published already counts once"
        ) from None
    except UnavailableError as error:
        raise UnreachableError(
            f"the audit log cannot be written ({harmless(str(error.message))}), so nothing more was done: check that "
            f"Kafka runs at {settings.kafka_bootstrap_servers} and that `axonstream init` has made the topics"
        ) from None
    except CLICKHOUSE_ERRORS as error:
        words = harmless(" ".join(str(error).split())[:300])
        raise UnreachableError(
            f"ClickHouse cannot answer at {settings.clickhouse_url} ({words}): start the stack with `axonstream up`, "
            "set AXONSTREAM_CLICKHOUSE_URL, or run `axonstream init` where the schema is older"
        ) from None

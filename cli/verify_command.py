"""`axonstream verify`: is every record stored once, and does every summary equal its events? On your own data."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click
from aiokafka.errors import KafkaError

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.terminal_text import print_table, say, say_json
from axonstream.kafka.errors import ProducerError
from axonstream.local.endpoints import with_endpoints
from axonstream.process.exit_codes import FAILED, NOT_VERIFIED
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SinkError
from axonstream.sinks.verification import Verification
from axonstream.sinks.verification import verify as verify_stored
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

_FIGURES = (
    *("events", "dead_letters", "compared", "summaries", "inexact", "expired", "pending", "behind"),
    *("deletions", "deleting", "deleted"),
)


@click.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--most", default=100, show_default=True, type=click.IntRange(1), help="Differences to print; all are counted."
)
@click.option("--deep", is_flag=True, help="Compare the content of every row, not only at the ends of partitions.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def verify(output: Literal["text", "json"], most: int, deep: bool, data_dir: Path | None) -> None:
    """Compare Kafka with ClickHouse, and each summary with its events.

    Places are compared everywhere, contents at both ends of each partition; with --deep everywhere, which reads all
    that Kafka has. `axonstream repair` stores again what is lost.

    It reads only, and may run beside a working pipeline: what is not committed yet is left out. Exit code 0: nothing
    differs; 1: something does, and is named; 7: it could not be verified.
    """
    settings = checked_settings()
    settings = with_endpoints(settings, data_dir or settings.data_dir)
    result = _result(settings, most, deep=deep)
    if output == "json":
        say_json(_members(result))
    else:
        _print(result)
    sys.exit(0 if result.clean else FAILED)


def _result(settings: Settings, most: int, *, deep: bool) -> Verification:
    try:
        return asyncio.run(verify_stored(settings, most=most, deep=deep))
    except (SinkError, ProducerError) as error:
        problem = str(error)
    except KafkaError as error:
        problem = f"no Kafka answers at {settings.kafka_bootstrap_servers}: {error!r}"
    except CLICKHOUSE_ERRORS as error:
        problem = f"ClickHouse cannot answer at {settings.clickhouse_url}: {str(error)[:300]}"
    say(f"Error: not verified: {problem}", to_stderr=True)
    sys.exit(NOT_VERIFIED)


def _members(result: Verification) -> dict[str, Any]:
    figures = {name: getattr(result, name) for name in _FIGURES}
    counts = {kind.value: count for kind, count in result.counts.items()}
    findings = [asdict(finding) for finding in result.findings]
    return {"clean": result.clean, **figures, "counts": counts, "findings": findings}


def _print(result: Verification) -> None:
    looked_at = f"{result.events:,} events, {result.dead_letters:,} dead letters, {result.summaries:,} summaries"
    waiting = f"{result.pending:,} records are not stored yet, {result.behind:,} are in no summary yet"
    say(f"{looked_at} compared with Kafka; {waiting}")
    say(f"of {result.compared:,} records the content was compared, too")
    if result.inexact or result.expired:
        say(f"{result.inexact:,} summaries are recomputed by each read, {result.expired:,} have expired events")
    if result.deletions:
        deleted = f"{result.deletions:,} deletions are remembered, {result.deleting:,} not finished in ClickHouse"
        say(f"{deleted}; {result.deleted:,} records of Kafka are deleted")
    if result.clean:
        say("nothing is lost, nothing is twice, every summary equals its events")
        return
    say(", ".join(f"{kind.value}: {count:,}" for kind, count in sorted(result.counts.items())))
    rows = [(finding.kind.value, finding.where, finding.what) for finding in result.findings]
    print_table(["kind", "where", "what"], rows, [False] * 3)

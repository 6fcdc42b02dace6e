"""`axonstream repair`: what ClickHouse has lost and Kafka still has is stored again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from aiokafka.errors import KafkaError

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.terminal_text import say
from axonstream.kafka.errors import ProducerError
from axonstream.local.endpoints import with_endpoints
from axonstream.process.log_lines import log_to_stderr
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SinkError
from axonstream.sinks.repairing.repair import Range, Repaired
from axonstream.sinks.repairing.repair import repair as repair_stored
from axonstream.sinks.worker import single_errors
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

NOT_WHOLE = 1
NOT_REPAIRED = 2


@click.command()
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    type=click.IntRange(0),
    help="Partition of agent-events; without it, all of them.",
)
@click.option("--from", "first", type=click.IntRange(0), help="First offset.  [default: the oldest that Kafka has]")
@click.option("--to", "last", type=click.IntRange(0), help="Last offset.  [default: the newest that is committed]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def repair(partitions: tuple[int, ...], first: int | None, last: int | None, data_dir: Path | None) -> None:
    """Store again what ClickHouse has lost and Kafka still has.

    A sink does so by itself whenever it begins; this makes all of them look, and works without one, too. Nothing is
    stored twice. Reads of what is missing wait meanwhile, or say that they are stale. Exit code 0: nothing is missing
    any more; 1: Kafka has some summaries no longer; 2: it could not be done.
    """
    settings = checked_settings()
    settings = with_endpoints(settings, data_dir or settings.data_dir)
    log_to_stderr("ERROR")
    result = _result(settings, Range(partitions, first, last))
    say(f"{result.looked_at:,} offsets were in no table: each is stored, or Kafka has no record there")
    if result.summaries:
        say(f"{result.summaries:,} summaries are stored again")
    for partition, offset in result.without_summary.items():
        say(f"partition {partition}: events from offset {offset} on are in no summary, and Kafka has none of them")
    say("`axonstream verify` compares everything")
    sys.exit(0 if result.whole else NOT_WHOLE)


def _result(settings: Settings, which: Range) -> Repaired:
    told: list[int] = []

    def progress(left: int) -> None:
        if not told or left < told[-1] // 2:
            told.append(left)
            say(f"{left:,} offsets to look at", to_stderr=True)

    try:
        return asyncio.run(repair_stored(settings, which, progress))
    except (KafkaError, SinkError, ProducerError, *CLICKHOUSE_ERRORS, BaseExceptionGroup) as error:
        [problem, *_] = [_in_words(one, settings) for one in single_errors(error)]
    say(f"Error: not repaired: {problem}", to_stderr=True)
    sys.exit(NOT_REPAIRED)


def _in_words(error: BaseException, settings: Settings) -> str:
    if isinstance(error, SinkError | ProducerError):
        return str(error)
    if isinstance(error, KafkaError):
        return f"no Kafka answers at {settings.kafka_bootstrap_servers}: {error!r}"
    return f"ClickHouse cannot answer at {settings.clickhouse_url}: {str(error)[:300]}"

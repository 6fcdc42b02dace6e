"""`axonstream rebuild-summaries`: processors forget their states, and fold again what Kafka has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from aiokafka.errors import KafkaError

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.terminal_text import say
from axonstream.local.endpoints import with_endpoints
from axonstream.stream_processors.errors import ProcessorError
from axonstream.stream_processors.rebuild import order_rebuild


@click.command("rebuild-summaries")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def rebuild_summaries(data_dir: Path | None) -> None:
    """Have the processors fold again all events that Kafka still has.

    It takes effect when a processor starts. Summaries that are stored stay, and so do the traces that Kafka no longer
    has; a trace of which Kafka has only a part is added up from its events when it is read.
    """
    settings = checked_settings()
    settings = with_endpoints(settings, data_dir or settings.data_dir)
    try:
        asyncio.run(order_rebuild(settings))
    except ProcessorError as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(f"no Kafka answers at {settings.kafka_bootstrap_servers}: {error!r}") from None
    say("each processor folds all events of its partitions again when it starts; restart those that run")

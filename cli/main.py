"""The `axonstream` command: the local stack, its single parts, SQL and traces from a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import click

    from axonstream.cli.audit_command import audit
    from axonstream.cli.checked_settings import checked_settings
    from axonstream.cli.dead_letters_command import dead_letters
    from axonstream.cli.keys_command import keys
    from axonstream.cli.part_commands import DATA_DIR, part_commands
    from axonstream.cli.prices_command import prices
    from axonstream.cli.rebuild_command import rebuild_summaries
    from axonstream.cli.repair_command import repair
    from axonstream.cli.sql_command import sql
    from axonstream.cli.terminal_text import HarmlessGroup, say
    from axonstream.cli.trace_command import trace
    from axonstream.cli.trace_delete_command import delete
    from axonstream.cli.verify_command import verify
    from axonstream.process.exit_codes import EPILOG, UnreachableError
    from axonstream.process.log_lines import harmless_errors
except ImportError as error:
    sys.exit(f'axonstream: the command needs the server parts ({error}): pip install "axonstream[server,local]"')


@click.group(cls=HarmlessGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(package_name="axonstream")
def main() -> None:
    """Trace agent runs end to end: Kafka in, rolling per-trace aggregates, SQL over ClickHouse."""
    harmless_errors()


@main.command()
@click.option("--port", default=8080, show_default=True, help="Port of the gateway; 0 picks a free port.")
@DATA_DIR
@click.option("--processors", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--sinks", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--kafka-port", default=9092, show_default=True, help="Another port is picked if this one is taken.")
@click.option("--clickhouse-port", default=8123, show_default=True, help="Another port is picked if this one is taken.")
def up(port: int, data_dir: Path, processors: int, sinks: int, kafka_port: int, clickhouse_port: int) -> None:
    """Run the whole product on this machine until Ctrl-C."""
    from axonstream.cli.up_command import run_stack
    from axonstream.local.stack import StackOptions

    options = StackOptions(
        data_dir=data_dir.resolve(),
        gateway_port=port,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        processors=processors,
        sinks=sinks,
    )
    run_stack(options, checked_settings())


@main.command()
@DATA_DIR
def demo(data_dir: Path) -> None:
    """Play a 12-step run of a multi-service agent that fails at step 8, and show its trace."""
    from axonstream.cli.demo_command import run_demo

    run_demo(data_dir.resolve(), checked_settings())


@main.command()
@click.option(
    "--new-epoch",
    is_flag=True,
    help="Go on from what Kafka has now, another topic or deleted records included. What is stored stays.",
)
@click.option(
    "--add-partitions",
    is_flag=True,
    help="Add partitions, up to AXONSTREAM_TOPIC_PARTITIONS; Kafka cannot remove them.",
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def init(new_epoch: bool, add_partitions: bool, data_dir: Path | None) -> None:
    """Make topics and schema on the Kafka and ClickHouse of the settings; running it again changes nothing.

    Where the settings name no servers, they are those of the local stack. What waits there is then started again.
    """
    import asyncio

    from axonstream.deploy.errors import DeployError, ServerNotReadyError
    from axonstream.deploy.init import initialise
    from axonstream.kafka.errors import ProducerError
    from axonstream.local.endpoints import read_endpoints, with_endpoints
    from axonstream.local.mended import Mended
    from axonstream.sinks.errors import SinkError

    settings = checked_settings()
    directory = data_dir or settings.data_dir
    try:
        with_servers = with_endpoints(settings, directory)
        asyncio.run(initialise(with_servers, new_epoch=new_epoch, add_partitions=add_partitions))
    except ServerNotReadyError as error:
        raise UnreachableError(str(error)) from None
    except (DeployError, ProducerError, SinkError) as error:
        raise click.ClickException(str(error)) from None
    if read_endpoints(directory) is not None:
        Mended(directory.resolve()).say()
    say("topics and schema are ready")


for _part in part_commands:
    main.add_command(_part)
main.add_command(audit)
main.add_command(dead_letters)
main.add_command(keys)
main.add_command(prices)
main.add_command(repair)
main.add_command(rebuild_summaries)
main.add_command(sql)
trace.add_command(delete)
main.add_command(trace)
main.add_command(verify)


if __name__ == "__main__":
    main()

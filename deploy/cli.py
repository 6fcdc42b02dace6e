"""The `axonstream` command: the local stack, its single parts, SQL and traces from a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import click

    from deploy.audit_command import audit
    from deploy.checked_settings import checked_settings
    from deploy.dead_letters_command import dead_letters
    from deploy.keys_command import keys
    from deploy.sql_command import sql
    from deploy.terminal_text import HarmlessGroup, say
    from deploy.trace_command import trace
    from deploy.trace_delete_command import delete
    from deploy.verify_command import verify
    from producers.log_lines import harmless_errors, log_to_stderr
except ImportError as error:
    sys.exit(f'axonstream: the command needs the server parts ({error}): pip install "axonstream[server,local]"')

if TYPE_CHECKING:
    from collections.abc import Callable

    from producers.settings import Settings

_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="AXONSTREAM_DATA_DIR",
    default=Path(".axonstream"),
    show_default=True,
    help="Where the local stack keeps its data, logs and pid files.",
)


@click.group(cls=HarmlessGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="axonstream")
def main() -> None:
    """Trace agent runs end to end: Kafka in, rolling per-trace aggregates, SQL over ClickHouse."""
    harmless_errors()


@main.command()
@click.option("--port", default=8080, show_default=True, help="Of the gateway; 0 picks a free one.")
@_DATA_DIR
@click.option("--processors", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--sinks", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--kafka-port", default=9092, show_default=True, help="A free one is picked when it is taken.")
@click.option("--clickhouse-port", default=8123, show_default=True, help="A free one is picked when it is taken.")
def up(port: int, data_dir: Path, processors: int, sinks: int, kafka_port: int, clickhouse_port: int) -> None:
    """Run the whole product on this machine until Ctrl-C."""
    from deploy.local_stack import StackOptions
    from deploy.up_command import run_stack

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
@_DATA_DIR
def demo(data_dir: Path) -> None:
    """Play a 12-step run of a multi-service agent that fails at step 8, and show its trace."""
    from deploy.demo_command import run_demo

    run_demo(data_dir.resolve(), checked_settings())


@main.command()
@click.option("--new-epoch", is_flag=True, help="Accept that the events topic was made anew; what is stored stays.")
def init(new_epoch: bool) -> None:
    """Make topics and schema on the Kafka and ClickHouse of the settings; running it again changes nothing."""
    import asyncio

    from deploy.errors import DeployError
    from deploy.init import initialise
    from producers.errors import ProducerError
    from sinks.errors import SinkError

    try:
        asyncio.run(initialise(checked_settings(), new_epoch=new_epoch))
    except (DeployError, ProducerError, SinkError) as error:
        raise click.ClickException(str(error)) from None
    say("topics and schema are ready")


@main.command()
@_DATA_DIR
@click.option("--port", default=9092, show_default=True)
@click.option("--controller-port", default=9093, show_default=True)
def kafka(data_dir: Path, port: int, controller_port: int) -> None:
    """Run one Kafka broker on loopback."""
    from deploy.errors import DeployError
    from deploy.kafka_broker import run

    _private(data_dir)
    try:
        run(data_dir / "kafka", port, controller_port)
    except DeployError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@_DATA_DIR
@click.option("--port", default=8123, show_default=True)
def clickhouse(data_dir: Path, port: int) -> None:
    """Serve the embedded ClickHouse engine over its HTTP interface on loopback.

    It asks for the password of AXONSTREAM_CLICKHOUSE_PASSWORD, or else for that in DATA_DIR/clickhouse.env.
    """
    from deploy.clickhouse_http.clickhouse_error import DirectoryInUseError
    from deploy.clickhouse_http.server import run
    from deploy.clickhouse_login import kept_password, write_login

    _private(data_dir)
    password = checked_settings().clickhouse_password.get_secret_value()
    if not password:
        password = kept_password(data_dir)
        write_login(data_dir, f"http://127.0.0.1:{port}", password)
    try:
        run(data_dir / "clickhouse", "127.0.0.1", port, password)
    except (DirectoryInUseError, OSError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
def gateway() -> None:
    """Serve the HTTP interface."""
    from gateway.server import run

    _part(run)


@main.command()
def processor() -> None:
    """Fold events into the summaries of their traces."""
    from stream_processors.worker import run

    _part(run)


@main.command()
def sink() -> None:
    """Write events and summaries to ClickHouse."""
    from sinks.worker import run

    _part(run)


main.add_command(audit)
main.add_command(dead_letters)
main.add_command(keys)
main.add_command(sql)
trace.add_command(delete)
main.add_command(trace)
main.add_command(verify)


def _part(run: Callable[[Settings], None]) -> None:
    settings = checked_settings()
    log_to_stderr(settings.log_level)
    run(settings)


def _private(data_dir: Path) -> None:
    from deploy.errors import DeployError
    from deploy.private_file import OTHERS_NOTHING, make_private

    os.umask(OTHERS_NOTHING)
    try:
        make_private(data_dir)
    except DeployError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()

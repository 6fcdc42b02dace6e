"""The parts of the stack as commands: `axonstream gateway` and its likes.

`python -m axonstream.cli.part_commands gateway` runs a part, too.

The second is what `axonstream up` starts: without the other commands a part takes 15 MB less, and is ready earlier.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.harmless_group import HarmlessGroup
from axonstream.process.log_lines import harmless_errors, log_to_stderr
from axonstream.settings.settings import Settings

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="AXONSTREAM_DATA_DIR",
    default=Path(".axonstream"),
    show_default=True,
    help="Where the local stack keeps its data, logs and pid files.",
)


@click.command()
@DATA_DIR
@click.option("--port", default=9092, show_default=True)
@click.option("--controller-port", default=9093, show_default=True)
def kafka(data_dir: Path, port: int, controller_port: int) -> None:
    """Run one Kafka broker on loopback."""
    from axonstream.deploy.errors import DeployError
    from axonstream.local.kafka_broker import run

    _private(data_dir)
    try:
        run(data_dir / "kafka", port, controller_port, checked_settings().kafka_flush_messages or 0)
    except DeployError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@DATA_DIR
@click.option("--port", default=8123, show_default=True)
def clickhouse(data_dir: Path, port: int) -> None:
    """Serve the embedded ClickHouse engine over its HTTP interface on loopback.

    It asks for the password of AXONSTREAM_CLICKHOUSE_PASSWORD, or else for that in DATA_DIR/clickhouse.env.
    """
    from axonstream.local.clickhouse_http.clickhouse_error import DirectoryInUseError
    from axonstream.local.clickhouse_http.server import run
    from axonstream.local.clickhouse_login import kept_password, write_login

    _private(data_dir)
    password = checked_settings().clickhouse_password.get_secret_value()
    if not password:
        password = kept_password(data_dir)
        write_login(data_dir, f"http://127.0.0.1:{port}", password)
    try:
        run(data_dir / "clickhouse", "127.0.0.1", port, password)
    except (DirectoryInUseError, OSError) as error:
        raise click.ClickException(str(error)) from None


@click.command()
def gateway() -> None:
    """Serve the HTTP interface."""
    from axonstream.gateway.server import run

    _part(run)


@click.command()
def processor() -> None:
    """Fold events into the summaries of their traces."""
    from axonstream.stream_processors.worker import run

    _part(run)


@click.command()
def sink() -> None:
    """Write events and summaries to ClickHouse."""
    from axonstream.sinks.worker import run

    _part(run)


def _part(run: Callable[[Settings], None]) -> None:
    settings = checked_settings()
    log_to_stderr(settings.log_level)
    run(settings)


def _private(data_dir: Path) -> None:
    from axonstream.deploy.errors import DeployError
    from axonstream.local.private_file import OTHERS_NOTHING, make_private

    os.umask(OTHERS_NOTHING)
    try:
        make_private(data_dir)
    except DeployError as error:
        raise click.ClickException(str(error)) from None


part_commands: list[click.Command] = [kafka, clickhouse, gateway, processor, sink]


@click.group(cls=HarmlessGroup)
def main() -> None:
    harmless_errors()


for _command in part_commands:
    main.add_command(_command)

if __name__ == "__main__":
    main()

"""`axonstream trace show` and `axonstream trace list`: the SDK's answers, as a tree, a table or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from pydantic_core import to_json

from axonstream import AxonPush, wire_json
from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.id_texts import with_id_texts
from axonstream.cli.terminal_text import HarmlessGroup, harmless, print_lines, print_table, say_json, terminal_width
from axonstream.cli.time_text import duration_text
from axonstream.cli.trace_view import trace_lines
from axonstream.errors import APIConnectionError, AuthenticationError, AxonStreamError, ForbiddenError, NotFoundError
from axonstream.local.endpoints import api_key as key_of_stack
from axonstream.local.endpoints import gateway_url, no_key
from axonstream.process.exit_codes import NoSecretError, UnreachableError

Output = Literal["text", "json"]
Command = TypeVar("Command", bound=Callable[..., None])

TIMEOUT = 30.0  # seconds, of one step of one request


@click.group(cls=HarmlessGroup)
def trace() -> None:
    """Show one trace, list them, or delete them."""


def server_options(command: Command) -> Command:
    """How a command finds the gateway, and how it prints."""
    for option in (
        click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Data directory of the local stack.  [default: .axonstream]",
        ),
        click.option("--tenant", help="Tenant id.  [default: the key's]"),
        click.option("--api-key", help="API key. Prefer AXONSTREAM_API_KEYS: others can see command lines."),
        click.option("--url", help="Address of the gateway.  [default: the local stack]"),
    ):
        command = option(command)
    return command


@trace.command()
@click.argument("trace_id", metavar="ID")
@server_options
def show(
    trace_id: str, url: str | None, api_key: str | None, tenant: str | None, data_dir: Path | None, output: Output
) -> None:
    """Print the summary and the tree of trace ID, its steps numbered and the first failing one marked."""
    with connected(url, api_key, tenant, data_dir) as client, said_plainly(trace_id):
        summary = client.traces.get_summary(trace_id)
        events = client.traces.get_events(trace_id)
    if output == "json":
        _print_json({"summary": summary, "events": list(events)})
    else:
        print_lines(trace_lines(summary, events, datetime.now(UTC), terminal_width()))


@trace.command(name="list")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@server_options
def list_traces(
    page: int,
    limit: int,
    url: str | None,
    api_key: str | None,
    tenant: str | None,
    data_dir: Path | None,
    output: Output,
) -> None:
    """Print the tenant's traces, newest activity first."""
    with connected(url, api_key, tenant, data_dir) as client, said_plainly():
        traces = client.traces.list(page=page, limit=limit)
    if output == "json":
        _print_json(list(traces))
        return
    names = ["trace", "started", "duration", "events", "tool calls", "errors", "first error", "agents"]
    rows = [
        [
            item.trace_id,
            f"{item.start_time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            duration_text(item.duration_ms),
            str(item.event_count),
            str(item.tool_call_count),
            str(item.error_count),
            f"step {item.first_error.step}: {item.first_error.identifier or ''}" if item.first_error else "",
            ", ".join(item.agents),
        ]
        for item in traces
    ]
    print_table(names, rows, [False, False, True, True, True, True, False, False])


@contextmanager
def connected(
    url: str | None = None, api_key: str | None = None, tenant: str | None = None, data_dir: Path | None = None
) -> Generator[AxonPush]:
    """A client of the gateway that the options name, or else of the settings and the stack of `data_dir`."""
    settings = checked_settings()
    where = data_dir or settings.data_dir
    key = api_key or key_of_stack(settings, where)
    if key is None:
        raise no_key()
    tenant_id = tenant or settings.tenants_by_key().get(key, "1")
    address = url or gateway_url(settings, where)
    with said_plainly(), AxonPush(key, tenant_id, base_url=address, timeout=TIMEOUT, max_retries=1) as client:
        yield client


@contextmanager
def said_plainly(trace_id: str = "") -> Generator[None]:
    """The SDK's errors as one line, and an exit code that tells what went wrong."""
    try:
        yield
    except NotFoundError:
        raise click.ClickException(
            f"no trace {harmless(trace_id)} for this tenant; `axonstream trace list` prints the newest, "
            "--tenant names another tenant"
        ) from None
    except APIConnectionError as error:
        error.hint = "Start the stack with `axonstream up`, or name the gateway with --url."
        raise UnreachableError(str(error)) from None
    except (AuthenticationError, ForbiddenError) as error:
        error.hint = "Name a key and its tenant with --api-key and --tenant."
        raise NoSecretError(str(error)) from None
    except AxonStreamError as error:
        raise click.ClickException(str(error)) from None


def _print_json(given: Any) -> None:
    document = with_id_texts(wire_json.decode(to_json(given)))
    if sys.stdout.isatty():  # senders' control characters must not reach a terminal raw
        say_json(document)
    else:
        click.get_binary_stream("stdout").write(wire_json.encode(document) + b"\n")

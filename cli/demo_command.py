"""`axonstream demo`: what the product is for, seen in one minute."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import httpx
from pydantic import SecretStr

from axonstream.cli.demo_run import play, show
from axonstream.cli.terminal_text import say
from axonstream.cli.up_command import run_stack
from axonstream.errors import ValidationError
from axonstream.gateway.control.credentials import new_key
from axonstream.http_environment import connecting
from axonstream.local.endpoints import Endpoints, api_key, no_key, read_endpoints
from axonstream.local.stack import LocalStack, StackOptions
from axonstream.settings.settings import Settings

_GO_ON = """
Go on:
  make up                                   keep it running
  .venv/bin/axonstream trace list           every trace
  .venv/bin/axonstream sql "SELECT trace_id, event_count, error_count FROM traces"
  docs/sql.md                               what SQL can ask of your agents
"""


def run_demo(data_dir: Path, settings: Settings) -> None:
    """Use the stack that runs on `data_dir`, or start one and stop it again. Raises click.ClickException."""
    running = read_endpoints(data_dir)
    if running and _answers(running):
        key = api_key(settings, data_dir)
        if key is None:
            raise no_key()
        _play(running.gateway_url, key, settings.tenants_by_key().get(key, "1"))
        say(_GO_ON)
        return
    if not settings.tenants_by_key():  # the demonstration needs one; it ends with the stack
        settings = settings.model_copy(update={"api_keys": SecretStr(f"{new_key(public=False)}=1")})
    key, tenant = next(iter(settings.tenants_by_key().items()))
    say("Starting the stack: Kafka, ClickHouse, processor, sink, gateway", to_stderr=True)

    async def during(stack: LocalStack) -> None:
        await asyncio.to_thread(_play, stack.url, key, tenant)
        say("\nStopping what was started; what was stored is kept and served by the next start.", to_stderr=True)

    run_stack(StackOptions(data_dir=data_dir, gateway_port=0, waits=False), settings, during)
    say(_GO_ON)


def _answers(endpoints: Endpoints) -> bool:
    try:
        return httpx.get(
            f"{endpoints.gateway_url}/health/ready",
            timeout=5,
            trust_env=False,  # the stack of a data directory is on this machine, so no proxy is asked
            verify=connecting(endpoints.gateway_url).verify,
        ).is_success
    except ValidationError as error:
        raise click.ClickException(f"{error} {error.hint or ''}".strip()) from None
    except httpx.TransportError:
        return False


def _play(url: str, key: str, tenant: str) -> None:
    show(url, key, tenant, play(url, key, tenant))

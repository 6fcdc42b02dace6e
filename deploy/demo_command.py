"""`axonstream demo`: what the product is for, seen in one minute."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import httpx

from deploy.demo_run import play, show
from deploy.endpoints import Endpoints, read_endpoints
from deploy.local_stack import LocalStack, StackOptions
from deploy.up_command import run_stack
from producers.settings import Settings

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
    key, tenant = next(iter(settings.tenants_by_key().items()))
    if running and _answers(running):
        _play(running.gateway_url, running.api_key or key, tenant)
        click.echo(_GO_ON)
        return
    click.echo("Starting the stack: Kafka, ClickHouse, processor, sink, gateway", err=True)

    async def during(stack: LocalStack) -> None:
        await asyncio.to_thread(_play, stack.url, key, tenant)
        click.echo("\nStopping what was started; what was stored is kept and served by the next start.", err=True)

    run_stack(StackOptions(data_dir=data_dir, gateway_port=0), settings, during)
    click.echo(_GO_ON)


def _answers(endpoints: Endpoints) -> bool:
    try:
        return httpx.get(f"{endpoints.gateway_url}/health/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


def _play(url: str, key: str, tenant: str) -> None:
    show(url, key, tenant, play(url, key, tenant))

"""`axonstream up`: run the local stack until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

import click

from axonstream.cli.terminal_text import say
from axonstream.deploy.errors import DeployError
from axonstream.gateway.control.api_keys import MAKE_A_KEY
from axonstream.kafka.errors import ProducerError
from axonstream.local.data_directory import DataDirectory
from axonstream.local.pipeline_watch import watch_pipeline
from axonstream.local.private_file import OTHERS_NOTHING
from axonstream.local.stack import LocalStack, StackOptions
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SinkError


def run_stack(
    options: StackOptions, settings: Settings, during: Callable[[LocalStack], Awaitable[None]] | None = None
) -> None:
    """Start the stack, do `during` (or else wait for a signal), stop the stack. Raises click.ClickException."""
    for library in ("aiokafka", "clickhouse_connect"):  # they report every attempt on a server that is starting
        logging.getLogger(library).setLevel(logging.CRITICAL)
    os.umask(OTHERS_NOTHING)
    try:
        with DataDirectory(options.data_dir):
            asyncio.run(_run(options, settings, during))
    except (DeployError, ProducerError, SinkError) as error:
        raise click.ClickException(str(error)) from None


async def _run(
    options: StackOptions, settings: Settings, during: Callable[[LocalStack], Awaitable[None]] | None
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    stack = LocalStack(options, settings, say=lambda line: say(f"  {line}", to_stderr=True))
    started = asyncio.ensure_future(_work(stack, during))
    waiter = asyncio.ensure_future(stopped.wait())
    lost = asyncio.ensure_future(stack.lost())
    watching = asyncio.ensure_future(watch_pipeline(lambda: stack.url, lambda line: say(f"  {line}", to_stderr=True)))
    try:
        await asyncio.wait({started, waiter, lost}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            await started
            if during is None:
                await asyncio.wait({waiter, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            await lost
    finally:
        for task in (started, waiter, lost, watching):
            task.cancel()
        await asyncio.gather(started, waiter, lost, watching, return_exceptions=True)
        await stack.stop()


async def _work(stack: LocalStack, during: Callable[[LocalStack], Awaitable[None]] | None) -> None:
    await stack.start()
    if during is not None:
        await during(stack)
        return
    key, tenant = next(iter(stack.settings.tenants_by_key().items()), ("", ""))
    if key:
        say(f"axonstream is ready: {stack.url} (API key {key}, tenant {tenant})")
    else:
        say(f"axonstream is ready: {stack.url} (no API key; make one with `{MAKE_A_KEY} --data-dir {stack.data_dir}`)")

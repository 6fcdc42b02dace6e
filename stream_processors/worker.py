"""The processor as a process."""

from __future__ import annotations

import asyncio
import sys

from axonstream.process.errors import NameTakenError
from axonstream.process.fail_stop import EXIT_MISMATCH, stop_process
from axonstream.process.harmless_text import harmless
from axonstream.process.log_lines import harmless_errors
from axonstream.process.own_name import own_name
from axonstream.settings.settings import Settings
from axonstream.stream_processors.application import create_app
from axonstream.stream_processors.errors import TopicsNotReadyError
from axonstream.stream_processors.topic_check import check_topics


def run(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT, then stop cleanly and return.

    Prints "ready processor" when partitions are assigned and recovered. Ends the process with exit code 70 when an
    invariant is broken (see fail_stop), with 78 and a message when another process has its name, with 1 and a message
    when the topics are not as they must be.
    """
    harmless_errors()
    try:
        with own_name(settings, "processor", settings.processor_instance):
            _work(settings)
    except NameTakenError as error:
        stop_process(error, EXIT_MISMATCH)


def _work(settings: Settings) -> None:
    try:
        asyncio.run(check_topics(settings))
    except TopicsNotReadyError as error:
        sys.exit(harmless(f"axonstream processor: {error}"))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = create_app(settings).Worker(
        loglevel=settings.log_level, loop=loop, redirect_stdouts=False, console_port=None, quiet=True
    )
    worker.spinner = None  # from WARNING on it would write before "ready processor", which then begins no line
    worker.execute_from_commandline()

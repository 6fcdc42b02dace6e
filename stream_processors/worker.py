"""The processor as a process."""

from __future__ import annotations

import asyncio
import sys

from producers.harmless_text import harmless
from producers.log_lines import harmless_errors
from producers.settings import Settings
from stream_processors.application import create_app
from stream_processors.errors import TopicsNotReadyError
from stream_processors.topic_check import check_topics


def run(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT, then stop cleanly and return.

    Prints "ready processor" when partitions are assigned and recovered. Ends the process with exit code 70 when an
    invariant is broken (see fail_stop), and with 1 and a message when the topics are not as they must be.
    """
    harmless_errors()
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

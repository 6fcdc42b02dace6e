"""How log lines of all parts look, on a terminal and in a file: one record is one line, and it has no effects.

What senders and servers send ends up in log lines. Raw, it could move a terminal's cursor, set its title, or write
lines that pass for records of ours. The lines of a traceback are indented, so that none of them passes for a record.
"""

from __future__ import annotations

import copy
import logging
import sys
import time
import traceback
from types import TracebackType
from typing import Any

from axonstream.process.harmless_text import harmless, harmless_lines
from axonstream.process.log_repeats import FewRepeats

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_INDENT = "    "


class HarmlessFormatter(logging.Formatter):
    """Spells out every control, bidi and invisible character of a record and of its traceback. Times are in UTC."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        own = copy.copy(record)
        own.exc_text = None  # another handler's formatter may have left its own text there
        return super().format(own)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        return harmless(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name is logging's
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  the name is logging's
        return _indented(super().formatStack(stack_info))


def log_to_stderr(level: str) -> None:
    """For a part that runs as a process of its own; does nothing where the root logger has a handler already."""
    harmless_errors()
    handler = logging.StreamHandler()
    handler.setFormatter(HarmlessFormatter(FORMAT))
    handler.addFilter(FewRepeats())
    logging.basicConfig(level=level, handlers=[handler])


def log_config(level: str) -> dict[str, Any]:
    """The same as a dictionary for logging.config, which Faust takes; it writes to stdout, as Faust does."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": {"()": HarmlessFormatter, "fmt": FORMAT}},
        "filters": {"repeats": {"()": FewRepeats}},
        "handlers": {
            "default": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["repeats"],
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"level": level, "handlers": ["default"]},
    }


def harmless_errors() -> None:
    """What Python itself writes to stderr is harmless, too: uncaught exceptions, and warnings that no handler takes."""
    sys.excepthook = _write_uncaught
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(HarmlessFormatter())


def _write_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(harmless_lines("".join(traceback.format_exception(kind, error, trace))))


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in harmless_lines(text).split("\n"))

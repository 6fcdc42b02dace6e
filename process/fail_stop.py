"""I9: a worker that may be wrong ends at once; its supervisor starts it again from what is certainly right."""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType
from typing import NoReturn

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
EXIT_MISMATCH = 78  # EX_CONFIG: a restart cannot help, a person must decide

log = logging.getLogger(__name__)


def stop_process(error: BaseException, code: int = EXIT_CODE) -> NoReturn:
    """End the process without a graceful stop and without a commit."""
    if code == EXIT_CODE:
        log.critical("stopping at once, to be restarted: %s", error, exc_info=error)
    else:
        log.critical("stopping at once: %s", error)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class FailStop:
    """`with FailStop():` any Exception inside ends the process; Faust would acknowledge the message and go on.

    One that is of the kind `but` is raised instead.
    """

    def __init__(self, but: type[Exception] | tuple[()] = ()) -> None:
        self._but = but

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, self._but):
            stop_process(error)

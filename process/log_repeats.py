"""What libraries say again and again: while a broker is away, aiokafka writes the same lines fifty times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_S = 10.0
LIBRARIES = ("aiokafka", "faust", "mode")
_MOST = 1000  # different texts that are remembered


class FewRepeats(logging.Filter):
    """Lets one of equal lines of a library through in EVERY_S, with the number of those that it held back before.

    Lines of axonstream all go through. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # When a line went through, and how often it did not since.
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        text, now = record.getMessage(), self._clock()
        line = record.name, record.levelno, text
        at, held = self._said.get(line, (now - EVERY_S, 0))
        if now - at < EVERY_S:
            self._said[line] = at, held + 1
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[line] = now, 0
        if held:
            record.msg, record.args = f"{text} ({held} more of these in the last {now - at:.0f} s)", ()
        return True

"""What one part of the local stack prints: DATA_DIR/logs/<name>.log, bounded while the part runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from axonstream.process.harmless_text import harmless

MAX_LOG_BYTES = 32 << 20
_LAST_LINES = 5
_LONGEST_LINE = 2000  # characters: a refusal says in one line what happened and what to do
_TAIL_BYTES = 64 << 10


class PartLog:
    """The file that the part itself appends to, so that it goes on when the supervisor dies.

    Once it has MAX_LOG_BYTES, `cut_if_long` moves what it holds to <name>.log.1 in place of what was there. So a part
    has about 2 * MAX_LOG_BYTES at the most, and what it prints between two calls. What it prints in the instant
    between the copy and the cut may be missing: nothing but the part itself could take its lines without a loss, and
    a part must not depend on its supervisor.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> BinaryIO:
        """For the next process to append to; `is_ready` and `holds` look at what comes from now on."""
        self.cut_if_long()
        log = self.path.open("ab")  # append: after a cut, the next line is written at the new end
        self._start = log.tell()
        return log

    def cut_if_long(self) -> None:
        """Raises OSError when the disk is full; then the log is as it was."""
        if not self.path.exists() or self.path.stat().st_size <= MAX_LOG_BYTES:
            return
        older = self.path.with_suffix(".log.1")
        partial = older.with_suffix(".partial")
        with self.path.open("r+b") as log, partial.open("wb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            shutil.copyfileobj(log, copy, 1 << 20)
            log.truncate(0)
        partial.replace(older)
        self._start = 0

    def is_ready(self) -> bool:
        """Whether this process has said so, in a line that begins with "ready "."""
        with self.path.open("rb") as log:
            log.seek(self._start)
            return any(line.startswith(b"ready ") for line in log)

    def holds(self, words: bytes) -> bool:
        """Whether this process has printed the words, in any case."""
        with self.path.open("rb") as log:
            log.seek(self._start)
            return any(words.lower() in line.lower() for line in log)

    def last_lines(self) -> list[str]:
        """Without effect on a terminal."""
        with self.path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace").rstrip("\n")
        return [harmless(line[:_LONGEST_LINE]) for line in text.split("\n")[-_LAST_LINES:]]

"""What the processes of a test print: read to its end, and shown with the failure of the test."""

from __future__ import annotations

import subprocess
import sys
import threading
from weakref import WeakKeyDictionary

ENDS_WITHIN_S = 60
_readers: WeakKeyDictionary[subprocess.Popen[str], threading.Thread] = WeakKeyDictionary()
_lines: WeakKeyDictionary[subprocess.Popen[str], list[str]] = WeakKeyDictionary()


def read_on(process: subprocess.Popen[str]) -> None:
    """Until it ends, what it prints goes where pytest shows it when a test fails.

    A pipe that nobody reads is full after 64 KiB of log, and then whoever logs stands still. And a part that has ended
    of itself says here why.
    """
    _lines[process] = []
    _readers[process] = threading.Thread(target=_copy, args=(process, _lines[process]), daemon=True)
    _readers[process].start()


def said(process: subprocess.Popen[str]) -> str:
    """All that a process has printed that has ended, since `read_on`."""
    if process not in _readers:
        read_on(process)
    _readers[process].join(ENDS_WITHIN_S)
    return "".join(_lines[process])


def _copy(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        print(
            line, end="", file=sys.__stdout__, flush=True
        )  # past capsys, whose test looks at what its own code prints


def end(process: subprocess.Popen[str]) -> None:
    """Kill it, if it still runs, and close its pipe once that is read: not while a thread reads from it."""
    process.kill()
    process.wait()
    reader = _readers.pop(process, None)
    if reader is not None:
        reader.join(ENDS_WITHIN_S)
        assert not reader.is_alive(), "a child of a process that was killed still has its pipe"
    assert process.stdout is not None
    process.stdout.close()

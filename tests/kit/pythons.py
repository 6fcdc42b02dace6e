"""The interpreters of other Python versions that this machine has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MINORS = (11, 12, 13, 14)
_SAYS = "import ensurepip, sys, venv; print(sys.version_info.minor)"
_FOLDERS = (".pyenv/versions/3.{}.*/bin", ".local/share/uv/python/cpython-3.{}.*/bin")  # of the home directory


def python_of(minor: int) -> str | None:
    """A Python 3.`minor` that can make environments: this one, one of PATH, or one of pyenv or uv; None without any."""
    return next((path for path in _candidates(minor) if _is_one(path, minor)), None)


def _candidates(minor: int) -> Iterator[str]:
    if sys.version_info.minor == minor:
        yield sys.executable
    if found := shutil.which(f"python3.{minor}"):
        yield found
    for folder in _FOLDERS:
        yield from sorted(str(path) for path in Path.home().glob(f"{folder.format(minor)}/python3.{minor}"))


def _is_one(path: str, minor: int) -> bool:
    """Those of PATH may be stand-ins, which find nothing to start."""
    done = subprocess.run([path, "-c", _SAYS], capture_output=True, text=True, timeout=60, check=False)
    return (done.returncode, done.stdout.strip()) == (0, str(minor))

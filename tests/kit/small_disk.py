"""A file system of a few hundred megabytes that a test can fill and empty. Needs the right to mount (root)."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SMALLEST_BYTES = 4096


class CannotMountError(Exception):
    """This machine lets nobody mount a tmpfs here."""


class SmallDisk:
    """A tmpfs mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Until no more than `leave_bytes` are free; again as often as somebody else frees some."""
        block = 1 << 20
        with self._ballast.open("ab", buffering=0) as file:
            while block >= SMALLEST_BYTES:
                if self.free_bytes() - leave_bytes < block:
                    block //= 2
                    continue
                try:
                    file.write(bytes(block))
                except OSError as error:  # others write at the same time
                    if error.errno != errno.ENOSPC:
                        raise
                    block //= 2

    def make_room(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size_mb: int) -> Generator[SmallDisk]:
    """Unmounted at the end, also under processes that still have files open there. Raises CannotMountError."""
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "axonstream-test", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise CannotMountError(mounted.stderr.strip())
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)

"""Files and directories that only their owner may read: what they hold opens the stack."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from deploy.errors import NotPrivateError

OTHERS_NOTHING = 0o077  # the umask under which the parts of the stack run


def make_private(directory: Path) -> None:
    """Make the directory where there is none, and shut it (mode 700) in any case. Raises NotPrivateError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise NotPrivateError(
            f"{directory} cannot be made a directory that only you can read ({error.strerror}): "
            "choose another one with --data-dir"
        ) from None


def write_private(path: Path, text: str) -> None:
    """Replace the file at once, so that a reader sees the old or the new one, never a half; mode 600, on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp makes it 600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

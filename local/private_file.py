"""Files and directories that only their owner may read: what they hold opens the stack."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from axonstream.local.errors import NotPrivateError

OTHERS_NOTHING = 0o077  # the umask under which the parts of the stack run


def make_private(directory: Path) -> None:
    """Make the directory where there is none, and shut it (mode 700) in any case.

    Raises NotPrivateError, also for a directory of another user: root may shut it, but its owner may open it again.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = directory.stat().st_uid
        if owner == os.geteuid():
            directory.chmod(0o700)
            return
    except OSError as error:
        raise NotPrivateError(
            f"{directory} cannot be made a directory that only you can read ({error.strerror}): "
            "choose another one with --data-dir"
        ) from None
    raise NotPrivateError(
        f"{directory} belongs to another user (uid {owner}), who can read what is kept in it: choose another one with "
        "--data-dir, or make this one yours with chown"
    )


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

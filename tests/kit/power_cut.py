"""A power cut, as far as files know of one: what was written and not forced to the disk since a moment is gone.

The machine keeps running, so the page cache has to be played: note the sizes of all files at the moment up to which the
disk has everything, kill the server with -9, and cut each file down to what it was then. A file that is newer is
emptied, halved or removed, as file systems leave such files. What a server forces to the disk by itself stays: of Kafka
its checkpoints and its metadata log, of ClickHouse the definitions of its tables.
"""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path

_FORCED_NAMES = ("checkpoint", "meta.properties", "partition.metadata", "topic_id")
_FORCED_FOLDERS = ("__cluster_metadata", "metadata", "metadata_dropped")


class NewFiles(StrEnum):
    """What is left of a file that the disk has never had in full."""

    EMPTIED = "emptied"  # ext4 and XFS: the name is there, the data is not
    HALVED = "halved"
    REMOVED = "removed"  # the folder was not written either


class DiskState:
    """The sizes of all files below `directory`, now: from here on, nothing more reaches the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sizes = {path: path.stat().st_size for path in _files(directory)}

    def cut(self, new_files: NewFiles) -> int:
        """The disk as it is after the cut; the server must be dead. How many files that changed."""
        changed = 0
        for path in _files(self._directory):
            size = path.stat().st_size
            known = self._sizes.get(path)
            if _is_forced(path.relative_to(self._directory)):
                continue
            if known is None:
                changed += 1
                _spoil(path, size, new_files)
            elif size > known:
                changed += 1
                _truncate(path, known)
        return changed


def _files(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink()]


def _is_forced(path: Path) -> bool:
    return any(name in path.name for name in _FORCED_NAMES) or any(
        part.startswith(_FORCED_FOLDERS) for part in path.parts[:-1]
    )


def _spoil(path: Path, size: int, new_files: NewFiles) -> None:
    if new_files is NewFiles.REMOVED:
        path.unlink()
        if not any(path.parent.iterdir()):
            shutil.rmtree(path.parent)
    else:
        _truncate(path, size // 2 if new_files is NewFiles.HALVED else 0)


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)

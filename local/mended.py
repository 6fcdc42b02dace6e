"""How a person tells a running stack that what kept a part from starting is mended: a command of ours has done it.

A part that refuses to start (exit code 78) waits, while the servers run: without them no command could mend anything.
`axonstream init` and its likes say so when they have succeeded, by DATA_DIR/run/mended, and the part is started again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from axonstream.local.private_file import write_private

LOOK_S = 0.5


class Mended:
    """Of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file = data_dir / "run" / "mended"

    def words(self) -> str:
        """What the supervisor adds to the reason of a part that waits."""
        return (
            f"The servers keep running. Run the command that is named, with --data-dir {self._data_dir}, in another "
            "terminal: then this goes on by itself. To change a setting, stop with Ctrl-C and start again with it."
        )

    def say(self) -> None:
        """Start again what waits. Does nothing where no stack has been."""
        if self._file.parent.is_dir():
            write_private(self._file, uuid4().hex)

    def mark(self) -> str:
        """For `since`: taken before the part was started, so that nothing that is said meanwhile is missed."""
        with suppress(OSError):
            return self._file.read_text()
        return ""

    async def since(self, mark: str) -> None:
        """Returns when `say` was called after `mark` was taken."""
        while self.mark() == mark:
            await asyncio.sleep(LOOK_S)

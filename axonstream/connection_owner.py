"""Where a client's connections may be used: those of a parent process or of an ended event loop are of no use."""

from __future__ import annotations

import asyncio
import os


class Owner:
    """The process that it was made in."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def is_here(self) -> bool:
        return self._process == os.getpid()


class AsyncOwner:
    """The process and event loop that ask it first: a client may be made before its loop runs."""

    def __init__(self) -> None:
        self._where: tuple[int, asyncio.AbstractEventLoop] | None = None

    def is_here(self) -> bool:
        here = os.getpid(), asyncio.get_running_loop()
        if self._where is None:
            self._where = here
        return self._where == here

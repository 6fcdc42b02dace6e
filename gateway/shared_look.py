"""One look at a part for all who ask: at most one a second, however many ask and however long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Generic, TypeVar

EVERY_S = 1.0

T = TypeVar("T")


class SharedLook(Generic[T]):
    """`look` is run when somebody asks and the last one began EVERY_S ago or earlier; the others share its result."""

    def __init__(self, look: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._look = look
        self._began = 0.0
        self._looking: asyncio.Task[T] | None = None

    async def latest(self, patience_s: float) -> T | None:
        """What the last look saw, at most EVERY_S old; None when that has not ended after `patience_s`.

        Raises what the look raised. A caller that stops waiting does not stop it; while one hangs, no other begins.
        """
        looking = self._looking
        if looking is None or (looking.done() and (looking.cancelled() or monotonic() >= self._began + EVERY_S)):
            self._began = monotonic()
            looking = self._looking = asyncio.create_task(self._look())
        if not looking.done():
            await asyncio.wait([looking], timeout=patience_s)
        return looking.result() if looking.done() else None

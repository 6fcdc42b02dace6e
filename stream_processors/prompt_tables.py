"""Faust's tables, registered as soon as the app starts."""

from __future__ import annotations

from faust.tables.manager import TableManager


class PromptTableManager(TableManager):
    """Faust's own waits 1 s first, for tables that come up while the app starts: a second of every restart.

    The app's only table is there before it starts, and Faust subscribes to nothing before its tables are registered.
    """

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

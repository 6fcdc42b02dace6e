"""Faust's tables, registered as soon as the app starts, and recovered however long Kafka takes."""

from __future__ import annotations

from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery


class PatientRecovery(Recovery):
    """Faust's own takes a step that is not done within a request's timeout for the end of the service. It recovers
    nothing from then on: the worker goes on as a member of its group, and its partitions stand still.
    """

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002  Faust passes it
        """Until it is done, the service ends, or the partitions are assigned anew."""
        await super()._wait(coro)


class PromptTableManager(TableManager):
    """Faust's own waits 1 s first, for tables that come up while the app starts: a second of every restart.

    The app's only table is there before it starts, and Faust subscribes to nothing before its tables are registered.
    """

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

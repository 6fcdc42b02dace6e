"""When each key was used last: written by whichever gateway saw it, at most once a minute a key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from axonstream.gateway.control.log import Control
from axonstream.gateway.control.records import ControlRecord, KeyUse, Kind, Place
from axonstream.gateway.http.errors import UnavailableError

log = logging.getLogger(__name__)

LEAST_BETWEEN_MS = 60_000
LOOK_S = 2.0


class KeyUses:
    """Looks every two seconds which keys were used since, and writes those that no gateway has written for a minute."""

    def __init__(self, control: Control, clock: Callable[[], int]) -> None:
        self._control = control
        self._clock = clock

    async def run(self) -> None:
        """Until it is cancelled. Without Kafka a use is written later, or not at all."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.write_due()
            except UnavailableError as error:
                log.warning("the last use of keys is not written: %s", error)

    async def write_due(self) -> None:
        """One look. Raises UnavailableError."""
        now, due = self._clock(), list[ControlRecord]()
        for credential in self._control.data.credentials.values():
            if not credential.used or not credential.key_id:
                continue
            tenant_id = credential.tenant.decode()
            before = self._control.data.tenant(tenant_id).key_uses.get(credential.key_id, 0)
            if now - before >= LEAST_BETWEEN_MS:
                credential.used = False
                place = Place(Kind.KEY_USE, tenant_id, credential.key_id)
                due.append(ControlRecord(place, KeyUse(credential.key_id, now)))
        if due:
            await self._control.note(due)

"""Which entries of the audit log the control topic holds, and how the oldest of them end.

The topic is compacted and an entry is the only record of its key, so it would stay for good. Gateways hold the ids, not
the entries, and delete the oldest beyond the limits: every gateway reads the whole topic when it starts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from axonstream.gateway.control.audit_entry import PUBLISHED
from axonstream.gateway.http.errors import UnavailableError

log = logging.getLogger(__name__)

# The newest so many stay: of one tenant, of the channels that publishing made for it, and of all tenants.
MOST_OF_A_TENANT = 10_000
MOST_PUBLISHED = 1_000
MOST_OF_ALL = 100_000
LOOK_S = 60.0
_MOST_AT_ONCE = 5_000


class AuditTrail:
    """The ids, the oldest first, of each tenant and kind. About 100 bytes an entry."""

    def __init__(self) -> None:
        self._rows: dict[bytes, dict[int, None]] = {}  # by the key without its id

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def read(self, key: bytes, *, gone: bool) -> None:
        """An entry, or its tombstone; the same record may be read twice. A key without an id is left out."""
        row, _, number = key.rpartition(b"/")
        if not number.isdigit():
            return
        ids = self._rows.setdefault(row, {})
        if gone:
            ids.pop(int(number), None)
            if not ids:
                del self._rows[row]
        else:
            ids[int(number)] = None

    def ids(self, row: bytes) -> list[int]:
        """Those of one tenant and kind, which `row` names as its keys begin, the oldest first."""
        return list(self._rows.get(row, ()))

    def clear(self) -> None:
        """Before the topic is read from its start."""
        self._rows.clear()

    def beyond_limits(self) -> list[bytes]:
        """The keys of the oldest entries beyond the limits; of all tenants' together those of who has the most."""
        sizes = {row: min(len(ids), _most(row)) for row, ids in self._rows.items()}
        excess = sum(sizes.values()) - MOST_OF_ALL
        while excess > 0:
            largest = max(sizes, key=sizes.__getitem__)
            fewer = min(excess, max(1, sizes[largest] // 2))
            sizes[largest] -= fewer
            excess -= fewer
        return [
            b"%b/%d" % (row, number) for row, ids in self._rows.items() for number in islice(ids, len(ids) - sizes[row])
        ]


class Forgets(Protocol):
    """What is needed of `ControlLog`."""

    async def forget(self, keys: Sequence[bytes]) -> None: ...


class AuditLimits:
    """Looks once a minute and deletes what is beyond the limits. Two gateways that delete the same do no harm."""

    def __init__(self, trail: AuditTrail, control: Forgets, loaded: Callable[[], bool]) -> None:
        self._trail = trail
        self._control = control
        self._loaded = loaded

    async def run(self) -> None:
        """Until it is cancelled. Without Kafka the entries are deleted later."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.keep()
            except UnavailableError as error:
                log.warning("the oldest entries of the audit log are not deleted: %s", error)

    async def keep(self) -> None:
        """One look. Raises UnavailableError."""
        beyond = self._trail.beyond_limits()[:_MOST_AT_ONCE] if self._loaded() else []
        if beyond:
            await self._control.forget(beyond)


def _most(row: bytes) -> int:
    return MOST_PUBLISHED if row.startswith(PUBLISHED) else MOST_OF_A_TENANT

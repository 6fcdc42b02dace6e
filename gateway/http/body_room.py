"""The memory that bodies under way may take together: counted by the bytes that have come, not by those announced.

A body takes room piece by piece, and keeps what it has until its request ends. When there is none left, the tenant
that holds most gives way: its largest body that is still coming is cut off, and answered with 503. So a tenant that
holds little always gets room, whatever others announce, hold or never finish.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from axonstream.gateway.http.errors import UnavailableError

MOST_BYTES = 128 << 20
_HINT = "Send the request again; smaller requests find room more easily."


class Held:
    """What one body holds. `patience` is what its reader waits under; cutting it off lets that run out."""

    def __init__(self, room: BodyRoom, tenant_id: str, patience: asyncio.Timeout | None) -> None:
        self.tenant_id = tenant_id
        self.size = 0
        self.cut_off = False
        self._room = room
        self._patience = patience

    def take(self, size: int) -> None:
        """So many bytes more. Raises UnavailableError when there is no room for them, or none any more for the body."""
        if self.cut_off:
            raise no_room()
        self._room.give(self, size)

    def all_there(self) -> None:
        """Nothing more comes: from here on the body is worked on, and is not cut off."""
        self._patience = None
        self._room.keep(self)

    def cut(self) -> None:
        """End the reading of it."""
        self.cut_off = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
        self.end()

    def end(self) -> None:
        """Give back everything; twice is harmless."""
        self._room.take_back(self)


class BodyRoom:
    """Room for `most` bytes, three quarters of it for one tenant."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self.size = 0
        self._of_tenants: defaultdict[str, int] = defaultdict(int)
        self._coming: defaultdict[str, set[Held]] = defaultdict(set)

    def begin(self, tenant_id: str, patience: asyncio.Timeout | None = None) -> Held:
        """A body of which nothing is there yet; without `patience` it cannot be cut off."""
        held = Held(self, tenant_id, patience)
        if patience is not None:
            self._coming[tenant_id].add(held)
        return held

    def give(self, held: Held, size: int) -> None:
        """As `Held.take`."""
        wanted = self._of_tenants.get(held.tenant_id, 0) + size
        if wanted > self.most * 3 // 4:
            raise no_room()
        while self.size + size > self.most:
            largest = max(self._coming, key=lambda tenant: self._of_tenants.get(tenant, 0), default=held.tenant_id)
            if self._of_tenants.get(largest, 0) <= wanted:
                raise no_room()
            max(self._coming[largest], key=lambda one: one.size).cut()
        held.size += size
        self.size += size
        self._of_tenants[held.tenant_id] += size

    def keep(self, held: Held) -> None:
        """As `Held.all_there`."""
        self._coming[held.tenant_id].discard(held)
        if not self._coming[held.tenant_id]:
            del self._coming[held.tenant_id]

    def take_back(self, held: Held) -> None:
        """As `Held.end`."""
        self.keep(held)
        self.size -= held.size
        self._of_tenants[held.tenant_id] -= held.size
        held.size = 0
        if not self._of_tenants[held.tenant_id]:
            del self._of_tenants[held.tenant_id]


def no_room() -> UnavailableError:
    """For a body that cannot be held now."""
    return UnavailableError("too many bytes of requests are under way", _HINT)

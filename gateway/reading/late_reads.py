"""Reads that are late, and the load of other tenants that gives way to them.

A read waits until everything before it in its partition can be read, whoever published it, and then shares ClickHouse
with other reads. So one tenant's load delays another's reads. While a read is late, the publishes and reads of a
tenant that has more than an even share of them wait before they begin, at most MOST_WAIT_S each: less is then under
way, and the late read is answered. For WINDOW_S after it those of one tenant begin one by one, with a gap between two:
all at once would make the next read late. So the pace of a load is what leaves the reads of others in time.

A tenant alone, a tenant that asks little, and a pipeline that stands (ClickHouse or a worker is away) cost nobody a
wait. What waits here has not begun, and each tenant waits in a row of its own, so two loud tenants never wait for one
another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from weakref import WeakValueDictionary

LATE_S = 0.1
STANDS_AFTER_S = 2.0
MOST_WAIT_S = 5.0
PUBLISH_GAP_S = 0.03
READ_GAP_S = 0.3  # a read may take a thousand rows out of ClickHouse
WINDOW_S = 1.0
LOUD_EVENTS = 500  # in up to two windows; fewer are never a load
LOUD_READS = 5


class Load:
    """How much each tenant has asked for lately: in this window and the one before."""

    def __init__(self, least: int, clock: Callable[[], float]) -> None:
        self._least = least
        self._clock = clock
        self._now: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._ends_at = clock() + WINDOW_S

    def add(self, tenant_id: str, amount: int) -> None:
        """The tenant asks for so much more."""
        now = self._clock()
        if now >= self._ends_at:
            self._before = self._now if now < self._ends_at + WINDOW_S else Counter()
            self._now, self._ends_at = Counter(), now + WINDOW_S
        self._now[tenant_id] += amount

    def is_more_than_even(self, tenant_id: str, beside: str) -> bool:
        """Whether the tenant asks for much, and for more than each would have if all had the same."""
        asked = self._now[tenant_id] + self._before[tenant_id]
        if asked < self._least:
            return False
        tenants = {*self._now, *self._before, beside}
        return asked * len(tenants) > self._now.total() + self._before.total()


class _Gates:
    """A lock for each tenant that has something waiting: it goes through one by one, `gap_s` apart."""

    def __init__(self, gap_s: float) -> None:
        self.gap_s = gap_s
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, tenant_id: str) -> asyncio.Lock:
        """The same one for as long as somebody holds it or waits for it."""
        return self._locks.setdefault(tenant_id, asyncio.Lock())


class LateReads:
    """The reads under way, by tenant. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic, most_wait_s: float = MOST_WAIT_S) -> None:
        self._clock = clock
        self._most_wait_s = most_wait_s
        self._under_way: dict[asyncio.Future[None], tuple[str, float]] = {}  # the oldest first
        self._moved_at = clock()
        self._events = Load(LOUD_EVENTS, clock)
        self._reads = Load(LOUD_READS, clock)
        self._publish_gates, self._read_gates = _Gates(PUBLISH_GAP_S), _Gates(READ_GAP_S)
        self._late_until: dict[str, float] = {}  # by tenant: so long its late read counts after its end
        self.held = 0  # publishes and reads that have waited

    def moved(self) -> None:
        """More can be read, or was: the pipeline does not stand."""
        self._moved_at = self._clock()

    async def before_publishing(self, tenant_id: str) -> None:
        """The tenant is about to publish: give way to a late read."""
        await self._give_way(tenant_id, self._events, self._publish_gates)

    def published(self, tenant_id: str, events: int) -> None:
        """The tenant publishes so many events now."""
        self._events.add(tenant_id, events)

    @asynccontextmanager
    async def reading(self, tenant_id: str) -> AsyncGenerator[None]:
        """A read of the tenant, which gives way to a late one before it begins; inside it is under way."""
        await self._give_way(tenant_id, self._reads, self._read_gates)
        self._reads.add(tenant_id, 1)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[ended] = tenant_id, self._clock()
        try:
            yield
        finally:
            _, began = self._under_way.pop(ended)
            if (now := self._clock()) >= began + LATE_S and not self._reads.is_more_than_even(tenant_id, ""):
                self._late_until = {reader: until for reader, until in self._late_until.items() if now < until}
                self._late_until[tenant_id] = now + WINDOW_S
            ended.set_result(None)

    async def _give_way(self, tenant_id: str, load: Load, gates: _Gates) -> None:
        if not self._gives_way(tenant_id, load):
            return
        self.held += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(self._most_wait_s), gates.of(tenant_id):
                while (late := self._late_beside(tenant_id, load)) is not None:
                    await asyncio.wait([late])
                await asyncio.sleep(gates.gap_s)

    def _gives_way(self, tenant_id: str, load: Load) -> bool:
        """Whether a read of another is late, or was so lately."""
        if self._late_beside(tenant_id, load) is not None:
            return True
        now = self._clock()
        return now <= self._moved_at + STANDS_AFTER_S and any(
            reader != tenant_id and now < until and load.is_more_than_even(tenant_id, reader)
            for reader, until in self._late_until.items()
        )

    def _late_beside(self, tenant_id: str, load: Load) -> asyncio.Future[None] | None:
        now = self._clock()
        if now > self._moved_at + STANDS_AFTER_S:
            return None
        for ended, (reader, began) in self._under_way.items():
            if now < began + LATE_S:
                return None
            if reader != tenant_id:
                return ended if load.is_more_than_even(tenant_id, reader) else None
        return None

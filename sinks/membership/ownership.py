"""The time during which this member owns its partitions, and its right to write within that time.

No INSERT may start
- after a revocation has begun: the partitions' next owner counts on it;
- later than last accepted heartbeat + session timeout - insert timeout: a process that was stopped for longer
  (SIGSTOP, a paused machine, a network cut) has a successor by then, and its INSERT would end after the successor has
  looked.
The server holds the last of these, too (`EventStore` sends `insert_by` along): a pause between the check and the
socket write, or a network that holds an INSERT back, is covered. Not covered: the INSERT of a process that was killed,
held back by the network, when a new process of its name and machine has looked before that time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import TopicPartition

from axonstream.kafka.lease import Lease
from axonstream.sinks.errors import LeaseLostError, RevokedError

LEASE_POLL_S = 0.05
LEASE_GIVEN_UP_S = 60.0

T = TypeVar("T")


class Ownership:
    """One assignment of partitions. The flows work in it; a revocation waits until they have left."""

    def __init__(self, partitions: Collection[TopicPartition], lease: Lease) -> None:
        self.partitions = frozenset(partitions)
        self.knows_events = asyncio.Event()  # set when it is known which events are stored, and none is taken back
        self.has_all_events = asyncio.Event()  # set when events_log lacks nothing below the committed offsets
        self._lease = lease
        self._revoked = asyncio.Event()
        self._workers = 0
        self._left = asyncio.Event()
        self._left.set()

    @property
    def is_over(self) -> bool:
        """Whether a revocation has begun."""
        return self._revoked.is_set()

    def of(self, topic: str) -> list[TopicPartition]:
        """The partitions of one topic, in order."""
        return sorted(tp for tp in self.partitions if tp.topic == topic)

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Held by a flow from its first look at the partitions until it has let them go."""
        self.check()
        self._workers += 1
        self._left.clear()
        try:
            yield
        finally:
            self._workers -= 1
            if not self._workers:
                self._left.set()

    def check(self) -> None:
        """Raises RevokedError once a revocation has begun."""
        if self._revoked.is_set():
            raise RevokedError

    async def may_insert(self) -> None:
        """Returns at a moment when an INSERT may start; raises RevokedError when there will be none.

        Raises LeaseLostError when the lease does not come back: a member that no longer beats may never beat again.
        """
        self.check()
        polls = 0
        while not self._lease.held():
            polls += 1
            if polls * LEASE_POLL_S > LEASE_GIVEN_UP_S:
                raise LeaseLostError(f"no heartbeat was accepted for {LEASE_GIVEN_UP_S:.0f} s: starting again")
            await self.pause(LEASE_POLL_S)

    @property
    def insert_by(self) -> float:
        """The time, by `boot_clock` in s, after which an INSERT of now may not begin any more."""
        return self._lease.ends_at

    async def pause(self, seconds: float) -> None:
        """Sleep, but not past a revocation: raises RevokedError at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._revoked.wait()
        except TimeoutError:
            return
        raise RevokedError

    async def unless_revoked(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when a revocation begins: then RevokedError.

        Only for what leaves nothing behind when it is cancelled. aiokafka's `getmany` is such: during a rebalance it
        waits for the next assignment, and the rebalance would wait for it; what it had fetched is fetched again.
        """
        task, revoked = asyncio.ensure_future(work), asyncio.ensure_future(self._revoked.wait())
        try:
            await asyncio.wait([task, revoked], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise RevokedError
        finally:
            task.cancel()
            revoked.cancel()

    async def end(self) -> None:
        """Nothing new starts; returns when what is under way has been finished or abandoned."""
        self._revoked.set()
        await self._left.wait()

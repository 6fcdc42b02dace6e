"""Kafka's say in which partitions this member owns: ownerships made and ended in step with the consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from axonstream.kafka.lease import Lease
from axonstream.process.boot_clock import boot_clock
from axonstream.sinks.errors import RevokedError
from axonstream.sinks.membership.ownership import Ownership


class Assignment:
    """The current ownership. A revocation returns only when the flows have left it, still in the old generation."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._has_rival = False
        self._rival_until = float("-inf")
        self._ownership: Ownership | None = None
        self._changed = asyncio.Condition()
        self._ending = asyncio.Lock()

    async def begin(self, assigned: Collection[TopicPartition]) -> None:
        """A new ownership; the flows are told."""
        async with self._changed:
            if self._has_rival:
                self._has_rival = False
                self._rival_until = boot_clock() + self.lease.length_s
            self._ownership = Ownership(assigned, self.lease)
            self._changed.notify_all()

    def expect_rival(self) -> None:
        """Another process may hold the name of this one until the next assignment, and its lease for that long after.

        The next ownership is given to the flows when that is over.
        """
        self._has_rival = True

    async def end(self) -> None:
        """Let the flows finish what is under way, and start nothing new."""
        async with self._ending:
            await self._end()

    async def again(self, ownership: Ownership) -> None:
        """Let the flows begin with the same partitions once more, unless `ownership` is over by now."""
        async with self._ending:  # a revocation that comes meanwhile waits, and ends the new one
            if self._ownership is ownership:
                await self._end()
                await self.begin(ownership.partitions)

    async def _end(self) -> None:
        ownership, self._ownership = self._ownership, None
        if ownership is not None:
            await ownership.end()

    def owns(self, partition: TopicPartition) -> bool:
        """Whether the partition is this member's now."""
        return self._ownership is not None and partition in self._ownership.partitions

    async def ownership(self) -> Ownership:
        """The current ownership, or the next one while a rebalance is going on."""
        while True:
            async with self._changed:
                while self._ownership is None:
                    await self._changed.wait()
                ownership = self._ownership
            left_s = self._rival_until - boot_clock()
            if left_s <= 0:
                return ownership
            with suppress(RevokedError):
                await ownership.pause(left_s)


class RebalanceListener(ConsumerRebalanceListener):
    """Hands the group's decisions to an Assignment; aiokafka awaits what the methods return."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> Any:
        del revoked  # the protocol is eager: it is always all of them
        return self._assignment.end()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> Any:
        return self._assignment.begin(assigned)

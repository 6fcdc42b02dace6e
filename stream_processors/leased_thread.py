"""The thread in which aiokafka's consumer lives, and its heartbeats."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_processors.lease import Lease

FETCH_WAIT_MS = 100  # Faust's 1,500: a broker answers one request of a connection at a time, and a seek waits that long


class LeasedConsumerThread(driver.AIOKafkaConsumerThread):
    """Renews the lease with every accepted heartbeat (I8)."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        coordinator = self._coordinator()
        heartbeat = coordinator._do_heartbeat
        lease: Lease = cast("Any", self.consumer).lease

        async def renewing_heartbeat() -> bool:
            sent_at = monotonic()
            accepted = await heartbeat()
            if accepted:
                lease.renew(sent_at)
            return accepted

        coordinator._do_heartbeat = renewing_heartbeat

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await self._coordinator()._do_heartbeat()  # aiokafka's first one is an interval away
        await super().on_partitions_assigned(assigned, generation_id)

    def _coordinator(self) -> GroupCoordinator:
        return cast("GroupCoordinator", self._ensure_consumer()._coordinator)

"""The thread in which aiokafka's consumer lives, and its heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from types import MappingProxyType
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_processors.consumed import consume_lightly
from stream_processors.consumed_offsets import consumed_offsets
from stream_processors.lease import Lease
from stream_processors.patient_fetch import fetch_patiently

FETCH_WAIT_MS = 100  # Faust's 1,500: a broker answers one request of a connection at a time, and a seek waits that long


class LeasedConsumerThread(driver.AIOKafkaConsumerThread):
    """Renews the lease with every accepted heartbeat (I8), and says how far each fetch has moved.

    `moves` is, of the latest fetch, from which position to which each partition was read. Its records need not reach
    so far: what follows them are transaction markers, which aiokafka reads and hands to nobody.
    """

    moves: Mapping[TP, tuple[int, int]] = MappingProxyType({})

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        consume_lightly(self._ensure_consumer(), cast("Any", self.consumer).is_chunked)
        fetch_patiently(self._ensure_consumer())
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

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        self.moves = {}
        before = consumed_offsets(consumer)
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        after = consumed_offsets(consumer)  # nothing was awaited since the records were taken
        self.moves = {TP(*tp): (before[tp], after[tp]) for tp in before.keys() & after if before[tp] < after[tp]}
        return records

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await self._coordinator()._do_heartbeat()  # aiokafka's first one is an interval away
        await super().on_partitions_assigned(assigned, generation_id)

    def _coordinator(self) -> GroupCoordinator:
        return cast("GroupCoordinator", self._ensure_consumer()._coordinator)

"""The thread in which aiokafka's consumer lives, and its heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from axonstream.kafka.committed_offsets import heed_whole_answers
from axonstream.kafka.consumed_offsets import consumed_offsets
from axonstream.kafka.coordinator_lookup import look_up_promptly
from axonstream.kafka.leader_watch import LeaderWatch, LogEnd, told_ends
from axonstream.kafka.membership import watch_membership
from axonstream.kafka.patient_fetch import fetch_patiently
from axonstream.kafka.slim_records import consume_slim_records

FETCH_WAIT_MS = 100  # Faust's 1,500: a broker answers one request of a connection at a time, and a seek waits that long
LOG_ENDS_S = 10.0


class LeasedConsumerThread(driver.AIOKafkaConsumerThread):
    """Renews the lease with every accepted heartbeat (I8), and says how far each fetch has moved.

    `moves` is, of the latest fetch, from which position to which each partition was read. Its records need not reach
    so far: what follows them are transaction markers, which aiokafka reads and hands to nobody. `notes` are the
    metadata of the next commit. `watch` knows which leader each fetched record came from.
    """

    moves: Mapping[TP, tuple[int, int]] = MappingProxyType({})
    notes: Mapping[TP, str] = MappingProxyType({})
    watch: LeaderWatch

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        commit = consumer.commit

        async def commit_with_notes(offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
            notes = self.notes
            await commit({tp: OffsetAndMetadata(at.offset, notes.get(TP(*tp), "")) for tp, at in offsets.items()})

        cast("Any", consumer).commit = commit_with_notes
        return consumer

    async def committed(self, partitions: Collection[TP]) -> dict[TP, OffsetAndMetadata]:
        """What the group has committed, with its notes, of the partitions of which it has. Raises KafkaError."""
        asked = [TopicPartition(*tp) for tp in partitions]
        found = await self.call_thread(self._coordinator().fetch_committed_offsets, asked)
        return {TP(*tp): at for tp, at in found.items() if at.offset >= 0}

    async def told_ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, LogEnd]:
        """Where logs end, and which leader says so; without those whose leader does not say it. Raises KafkaError."""
        return await self.call_thread(told_ends, self._ensure_consumer(), list(partitions), LOG_ENDS_S)

    async def on_start(self) -> None:
        await super().on_start()
        consume_slim_records(self._ensure_consumer(), cast("Any", self.consumer).is_chunked)
        self.watch = LeaderWatch(self._ensure_consumer())
        watch_membership(self._ensure_consumer(), cast("Any", self.consumer).membership)
        fetch_patiently(self._ensure_consumer(), paused=lambda: cast("Any", self.consumer)._paused_partitions)
        heed_whole_answers(self._ensure_consumer())
        look_up_promptly(self._ensure_consumer())

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        """What Faust would drop, as the flow is stopped, is put back at once: recovery may have sought already, and
        would wait for it for ever.

        Returns as soon as a fetch has come. aiokafka's own wait goes on after one with nothing but transaction markers,
        and whoever waits to read what stands before them would wait the whole `timeout`.
        """
        self.moves = {}
        generation = self.app.consumer_generation_id
        before = consumed_offsets(consumer)
        records = await super()._fetch_records(consumer, active_partitions, 0, max_records)
        if timeout and self._flows() and not records and consumed_offsets(consumer) == before:
            await _next_fetch(consumer, timeout)
            records = await super()._fetch_records(consumer, active_partitions, 0, max_records)
        if not self._flows() or generation != self.app.consumer_generation_id:
            for tp, taken in records.items():
                with suppress(IllegalStateError):  # it is not assigned any more
                    consumer.seek(TopicPartition(*tp), taken[0].offset)
            return {}
        after = consumed_offsets(consumer)  # nothing was awaited since the records were taken
        self.moves = {TP(*tp): (before[tp], after[tp]) for tp in before.keys() & after if before[tp] < after[tp]}
        return records

    def _flows(self) -> bool:
        return bool(cast("Any", self.consumer).flow_active)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await self._coordinator()._do_heartbeat()  # aiokafka's first one is an interval away
        await super().on_partitions_assigned(assigned, generation_id)

    def close(self) -> None:
        """Nothing: Faust calls this when a rebalance meets a stop, and closes the connections from another loop.

        The group would then never be left, and the partitions stand still for a session. The stop that is under way
        closes the consumer here, in its own thread, once the rebalance is over.
        """

    def _coordinator(self) -> GroupCoordinator:
        return cast("GroupCoordinator", self._ensure_consumer()._coordinator)


async def _next_fetch(consumer: AIOKafkaConsumer, timeout: float) -> None:
    """Until something is fetched or `timeout` s are over. Raises KafkaError when a fetch was refused."""
    fetcher: Any = consumer._fetcher
    fetched = fetcher._create_fetch_waiter()
    with fetcher._subscriptions.fetch_context():
        done, _ = await asyncio.wait([fetched], timeout=timeout)
    if done:
        fetched.result()
    else:
        fetched.cancel()

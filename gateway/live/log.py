"""The log that live streams read: how far each partition has been read, and the positions that this makes.

Also the consumers that read it: without a group, placed by hand, nothing committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from gateway.live.filter import LiveFilter
from gateway.live.position import Kind, Positions, Vector, trace_position
from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import event_key
from producers.trace_partitions import partition_of

log = logging.getLogger(__name__)

BATCH_RECORDS = 200  # read at once
_REQUEST_TIMEOUT_MS = 10_000
_METADATA_AGE_MS = 3_000  # so that added partitions are noticed
_FETCH_BYTES = 4 << 20
_STOP_S = 5.0


class ReadSoFar:
    """The next offset of every partition, and the ids that follow from them."""

    def __init__(self, mark: bytes, offsets: Iterable[int]) -> None:
        self.mark = mark
        self.offsets = list(offsets)
        self._vector = Vector(mark, self.offsets)

    def advance(self, partition: int, offset: int) -> None:
        """Everything of `partition` below `offset` has been read."""
        self.offsets[partition] = offset
        self._vector.advance(partition, offset)

    def grow(self, partitions: int) -> None:
        """Partitions were added; they are read from their start."""
        self.offsets += [0] * (partitions - len(self.offsets))
        self._vector = Vector(self.mark, self.offsets)

    def position(self, kind: Kind, partition: int) -> bytes:
        """The position after all that was read, not sealed, for a stream of this kind; `partition` is a trace's."""
        if kind is Kind.TRACE:
            return trace_position(self.mark, partition, self.offsets[partition])
        return self._vector.position()

    def home(self, wanted: LiveFilter) -> int:
        """The partition of the trace that is wanted; 0 where no trace is."""
        return 0 if wanted.trace_id is None else partition_of(event_key(wanted.trace_id), len(self.offsets))

    def places(self, wanted: LiveFilter) -> Positions:
        """The next offsets of the partitions that can hold what is wanted."""
        if wanted.trace_id is None:
            return dict(enumerate(self.offsets))
        home = self.home(wanted)
        return {home: self.offsets[home]}


def live_consumer(settings: Settings) -> AIOKafkaConsumer:
    """Not started, nothing assigned. An offset that is not there is an error, never a jump."""
    return AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=_METADATA_AGE_MS,
        fetch_max_bytes=_FETCH_BYTES,
    )


def is_cancelled() -> bool:
    """Whether the running task was told to end: aiokafka also lets its own cancellations out when connections break."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """In bounded time, also while Kafka is away."""
    try:
        async with asyncio.timeout(_STOP_S):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
        if is_cancelled():
            raise
        log.warning("a consumer of live streams did not stop cleanly: %r", error)

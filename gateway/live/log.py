"""The log that live streams read: how far each partition has been read, and the positions that this makes.

Also the consumers that read it: without a group, placed by hand, nothing committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.places import PlacedRecord, Places
from axonstream.gateway.live.position import Kind, Place, Positions
from axonstream.kafka.client import kafka_options
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

BATCH_RECORDS = 200  # read at once
_REQUEST_TIMEOUT_MS = 10_000
_METADATA_AGE_MS = 3_000  # so that added partitions are noticed
_FETCH_BYTES = 4 << 20
_STOP_S = 5.0


class ReadSoFar:
    """The next offset of every partition, and the ids that follow from them."""

    def __init__(self, mark: bytes, places: Sequence[Place], newest_ms: int = 0) -> None:
        self.mark = mark
        self.offsets = [place.offset for place in places]
        self._places = Places(mark, dict(enumerate(places)), newest_ms)

    def advance(self, record: PlacedRecord) -> None:
        """Everything of its partition has been read, up to this record."""
        self.offsets[record.partition] = record.offset + 1
        self._places.read(record)

    def settle(self) -> None:
        """No record of a batch is kept any longer."""
        self._places.settle()

    def tell_time(self, *, every_log_stands: bool) -> None:
        """Positions tell a newer time only as long as no partition can have lost what was read of it long ago."""
        if every_log_stands:
            self._places.release_time()
        else:
            self._places.hold_time()

    def pass_markers(self, partition: int, offset: int) -> None:
        """Below `offset` there are only markers of transactions behind what has been read."""
        self.offsets[partition] = offset
        self._places.pass_markers(partition, offset)

    def skip(self, partition: int, offset: int) -> None:
        """What there was below `offset` has expired."""
        self.offsets[partition] = offset
        self._places.put(partition, Place(offset))

    def grow(self, partitions: int) -> None:
        """Partitions were added; they are read from their start."""
        for partition in range(len(self.offsets), partitions):
            self.offsets.append(0)
            self._places.put(partition, Place(0))

    def place(self, partition: int) -> Place:
        """Where the partition goes on, and after which record."""
        return self._places.at(partition)

    def position(self, kind: Kind, partition: int) -> bytes:
        """The position after all that was read, not sealed, for a stream of this kind; `partition` is a trace's."""
        return self._places.position(kind, partition)

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

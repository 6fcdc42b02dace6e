"""What waits to go to Kafka, gathered into one batch for each partition: a batch costs aiokafka what a record does.

    add -> waiting -> a batch of the partition under way -> acknowledged -> the callers whose records were in it

While a broker has a request of ours under way, the records of its partitions are gathered, so that batches grow with
the load and nothing waits where there is none.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from producers.append_counts import AppendCounts
from producers.event_record import EventRecord
from producers.topics import event_key
from producers.trace_partitions import partition_of


class Append:
    """One caller's records. `ended` is done when all are acknowledged, or the first is not: `failure` says why.

    The future has no exception: that would hold the caller's frame, and so its records, until a garbage collection.
    """

    __slots__ = ("ended", "ends_at", "failure", "left")

    def __init__(self, ended: asyncio.Future[None], records: int, ends_at: float) -> None:
        self.ended = ended
        self.left = records
        self.ends_at = ends_at
        self.failure = ""

    def acknowledge(self, records: int) -> None:
        """So many more of them are on Kafka."""
        self.left -= records
        if not self.left and not self.ended.done():
            self.ended.set_result(None)

    def fail(self, message: str) -> None:
        """The caller is told; what of its records still waits is not sent any more."""
        if not self.ended.done():
            self.failure = message
            self.ended.set_result(None)


class Waiting(NamedTuple):
    """One record that is not on its way yet."""

    append: Append
    key: bytes
    value: bytes


SORTED_AT_ONCE = 5000  # then other callers have their turn
HandOver = Callable[[Iterable[Waiting]], None]


class Outbox:
    """The records for one producer, and of each partition one batch under way, so that the order of records stays.

    Of a caller that has ended (expired, cancelled, failed) nothing more is sent; what is under way goes on, because
    other callers share it. An error of Kafka goes to the callers of that batch alone; `on_error` is called after it.
    """

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, counts: AppendCounts, on_error: Callable[[Outbox], None]
    ) -> None:
        self.producer = producer
        self._topic = topic
        self._counts = counts
        self._on_error = on_error
        self._hand_over: HandOver | None = None
        self._waiting: list[Waiting] = []
        self._by_partition: defaultdict[int, deque[Waiting]] = defaultdict(deque)
        self._partitions_under_way: set[int] = set()
        self._brokers_under_way: set[int | None] = set()
        self._sending: asyncio.Task[None] | None = None
        self._due = False

    def add(self, append: Append, records: Sequence[EventRecord]) -> None:
        """Send them as soon as their brokers are free."""
        self._waiting.extend([Waiting(append, event_key(record.trace_id), record.value) for record in records])
        self._wake()

    def resume(self, waiting: Iterable[Waiting]) -> None:
        """Send what another outbox has handed over."""
        self._waiting.extend(waiting)
        self._wake()

    def retire(self, hand_over: HandOver) -> None:
        """Send nothing more. What waits is handed over: at once, or after the batch of its partition has ended."""
        self._hand_over = hand_over
        self._wake()

    def forget_ended(self) -> None:
        """Hold nothing for callers that have been answered."""
        self._waiting = [one for one in self._waiting if not one.append.ended.done()]
        for partition, queue in self._by_partition.items():
            self._by_partition[partition] = deque(one for one in queue if not one.append.ended.done())

    @property
    def batches_under_way(self) -> int:
        return len(self._partitions_under_way)

    def waiting(self) -> Iterator[Waiting]:
        """The records that are not on their way yet."""
        return chain(self._waiting, *self._by_partition.values())

    def _wake(self) -> None:
        self._due = True
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())  # its first step is after this turn of the event loop

    async def _send(self) -> None:
        try:
            while self._due:
                self._due = False
                await self._sort()
                # Chosen before the first is sent: the batches of one turn go to their broker in one request.
                for partition in [one for one in self._by_partition if self._is_free(one)]:
                    queue = self._by_partition.pop(partition)
                    if self._hand_over is None:
                        await self._send_batch(partition, queue)
                    else:
                        self._hand_over(queue)
        finally:
            self._sending = None

    async def _sort(self) -> None:
        try:
            partitions = len(await self.producer.partitions_for(self._topic))
        except KafkaError as error:
            for one in self._waiting:
                one.append.fail(f"Kafka does not name the partitions: {error!r}")
            self._waiting = []
            self._on_error(self)
            return
        while self._waiting:
            some, self._waiting = self._waiting[:SORTED_AT_ONCE], self._waiting[SORTED_AT_ONCE:]
            for one in some:
                self._by_partition[partition_of(one.key, partitions)].append(one)
            if self._waiting:
                await asyncio.sleep(0)

    def _is_free(self, partition: int) -> bool:
        if partition in self._partitions_under_way:
            return False
        return self._hand_over is not None or self._leader(partition) not in self._brokers_under_way

    def _leader(self, partition: int) -> int | None:
        return self.producer.client.cluster.leader_for_partition(TopicPartition(self._topic, partition))

    async def _send_batch(self, partition: int, queue: deque[Waiting]) -> None:
        batch = self.producer.create_batch()
        owners: defaultdict[Append, int] = defaultdict(int)
        while queue:
            append, key, value = queue[0]
            if not append.ended.done():
                if batch.append(key=key, value=value, timestamp=None) is None:
                    self._by_partition[partition] = queue  # the rest has the next turn
                    break
                owners[append] += 1
            queue.popleft()
        if not owners:
            return
        broker = self._leader(partition)
        self._partitions_under_way.add(partition)
        self._brokers_under_way.add(broker)
        end = partial(self._end, partition, broker, owners, batch.size())
        try:
            sent = await self.producer.send_batch(batch, self._topic, partition=partition)
        except Exception as error:
            end(error)
            if not isinstance(error, KafkaError):
                raise
        else:
            sent.add_done_callback(lambda done: end(done.exception()))

    def _end(
        self, partition: int, broker: int | None, owners: dict[Append, int], size: int, error: BaseException | None
    ) -> None:
        self._partitions_under_way.discard(partition)
        self._brokers_under_way.discard(broker)
        if error is None:
            self._counts.batches += 1
            self._counts.events += sum(owners.values())
            self._counts.event_bytes += size
            for append, records in owners.items():
                append.acknowledge(records)
        else:
            self._counts.refused_batches += 1
            for append in owners:
                append.fail(f"Kafka did not acknowledge: {error!r}")
            self._on_error(self)
        if self._waiting or self._by_partition:
            self._wake()

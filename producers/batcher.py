"""What waits to go to Kafka, gathered into one batch for each partition: a batch costs aiokafka what a record does.

The life of a record:

      EventLog.append
             |
             v                 its caller has ended
    +---> waiting ---------------------------------------> dropped
    |        |                 (deadline, cancelled, failed)
    |        |
    |        | its partition has no batch under way,       an error of Kafka
    |        | and neither has the broker                  fails the callers of
    |        v                                             this batch alone
    |    under way --------------------------------------> refused
    |        |
    |        v
    |    acknowledged: its caller is told, once all of its records are
    |
    +---- moved, when the batcher is retired: after an error, or while one of its batches is late

Who owns it: the batcher, while it waits; the producer, while it is under way. When a batcher is retired, the EventLog
takes at once all that waits there, and gives it to the batcher that comes next. What is under way stays with the
producer that sent it, until Kafka answers.

While a broker has a request of ours under way, the records of its partitions are gathered, so that batches grow with
the load and nothing waits where there is none. A partition that takes nothing (too few replicas, no leader)
holds its own records alone: its broker counts as free again after LATE_S.
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
from aiokafka.structs import RecordMetadata, TopicPartition

from axonstream.contract.event_record import EventRecord
from axonstream.kafka.added_partitions import how_to_follow
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import event_key
from axonstream.producers.append import Append
from axonstream.producers.append_counts import AppendCounts


class Waiting(NamedTuple):
    """One record that is not on its way yet."""

    append: Append
    place: int  # among the append's records
    key: bytes
    value: bytes


class _Batch(NamedTuple):
    """One that was sent to `broker` at `began`, by the event loop's clock, and has not ended."""

    broker: int | None
    began: float


LATE_S = 0.5  # a batch that takes longer holds nobody but its own partition
_BETWEEN_LOOKS_S = 0.01
SORTED_AT_ONCE = 5000  # then other callers have their turn


class Batcher:
    """The records for one producer, and of each partition one batch under way, so that the order of records stays.

    Of a caller that has ended (expired, cancelled, failed) nothing more is sent; what is under way goes on, because
    other callers share it. An error of Kafka goes to the callers of that batch alone; `on_error` is called after it.

    `under_way` are the partitions that have a batch under way, by whichever batcher of the log: none sends to them.
    With `partitions`, nothing is sent while the topic has another number of them: a trace would move to a partition
    that no reader knows of.

    While one of its batches is late, `on_late` is called every LATE_S. Once it is retired, `on_freed` says that one of
    its batches has ended, so that the batcher that came after it may send to that partition.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        counts: AppendCounts,
        under_way: set[int],
        *,
        partitions: int | None,
        on_error: Callable[[Batcher], None],
        on_late: Callable[[Batcher], None],
        on_freed: Callable[[], None],
    ) -> None:
        self.producer = producer
        self._topic = topic
        self._counts = counts
        self._partitions = partitions
        self._on_error = on_error
        self._on_late = on_late
        self._on_freed = on_freed
        self._is_retired = False
        self._waiting: list[Waiting] = []
        self._by_partition: defaultdict[int, deque[Waiting]] = defaultdict(deque)
        self._under_way = under_way
        self._batches: dict[int, _Batch] = {}  # by partition
        self._brokers_under_way: set[int | None] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._due = False

    def add(self, append: Append, records: Sequence[EventRecord]) -> None:
        """Send them as soon as their brokers are free."""
        self._waiting.extend(
            [Waiting(append, place, event_key(record.trace_id), record.value) for place, record in enumerate(records)]
        )
        self._wake()

    def resume(self, waiting: Iterable[Waiting]) -> None:
        """Send what another batcher has handed over."""
        self._waiting.extend(waiting)
        self._wake()

    def retire(self) -> list[Waiting]:
        """Send nothing more. What waits is the caller's now, in order: another batcher sends it, of each partition once
        the batch that is under way has ended.
        """
        self._is_retired = True
        waiting = [*chain(*self._by_partition.values()), *self._waiting]
        self._by_partition.clear()
        self._waiting = []
        return waiting

    def go_on(self) -> None:
        """A partition is free again that another batcher had a batch under way to."""
        if self._waiting or self._by_partition:
            self._wake()

    def forget_ended(self) -> None:
        """Hold nothing for callers that have been answered."""
        self._waiting = [one for one in self._waiting if not one.append.ended.done()]
        for partition, queue in self._by_partition.items():
            self._by_partition[partition] = deque(one for one in queue if not one.append.ended.done())

    @property
    def batches_under_way(self) -> int:
        return len(self._batches)

    def late_partitions(self) -> list[int]:
        """Those whose batch has been under way for LATE_S."""
        if not self._batches:
            return []
        late = asyncio.get_running_loop().time() - LATE_S
        return sorted(partition for partition, batch in self._batches.items() if batch.began <= late)

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
                    if (queue := self._by_partition.pop(partition, None)) is not None:  # else it was retired meanwhile
                        await self._send_batch(partition, queue)
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
        if self._partitions not in (None, partitions):
            for one in self._waiting:
                one.append.partitions_changed = True
                one.append.fail(
                    f"{self._topic} has {partitions} partitions, and this process was told {self._partitions}: "
                    f"{how_to_follow(partitions)}"
                )
            self._waiting = []
        while self._waiting:
            some, self._waiting = self._waiting[:SORTED_AT_ONCE], self._waiting[SORTED_AT_ONCE:]
            for one in some:
                self._by_partition[partition_of(one.key, partitions)].append(one)
            if self._waiting:
                await asyncio.sleep(0)

    def _is_free(self, partition: int) -> bool:
        return partition not in self._under_way and self._leader(partition) not in self._brokers_under_way

    def _leader(self, partition: int) -> int | None:
        return self.producer.client.cluster.leader_for_partition(TopicPartition(self._topic, partition))

    async def _send_batch(self, partition: int, queue: deque[Waiting]) -> None:
        batch = self.producer.create_batch()
        owners: defaultdict[Append, list[int]] = defaultdict(list)
        while queue:
            append, place, key, value = queue[0]
            if not append.ended.done():
                if batch.append(key=key, value=value, timestamp=None) is None:
                    self._by_partition[partition] = queue  # the rest has the next turn
                    break
                owners[append].append(place)
                append.under_way += 1
            queue.popleft()
        if not owners:
            return
        broker = self._leader(partition)
        self._begin(partition, broker)
        end = partial(self._end, partition, broker, owners, batch.size())
        try:
            sent = await self.producer.send_batch(batch, self._topic, partition=partition)
        except Exception as error:
            end(error)
            if not isinstance(error, KafkaError):
                raise
        else:
            sent.add_done_callback(lambda done: end(done.exception(), None if done.exception() else _taken_at(done)))

    def _begin(self, partition: int, broker: int | None) -> None:
        loop = asyncio.get_running_loop()
        self._under_way.add(partition)
        self._brokers_under_way.add(broker)
        self._batches[partition] = _Batch(broker, loop.time())
        if self._next_look is None:
            self._next_look = loop.call_later(LATE_S, self._look_for_late)

    def _look_for_late(self) -> None:
        """One timer for all batches. aiokafka sends a batch again for as long as its partition takes none, for ever."""
        self._next_look = None
        if self._is_retired or not self._batches:
            return
        loop = asyncio.get_running_loop()
        wait_s = LATE_S
        if late := self.late_partitions():
            self._brokers_under_way.difference_update([self._batches[partition].broker for partition in late])
            self._on_late(self)
            self.go_on()
        else:
            began = min(batch.began for batch in self._batches.values())
            wait_s = max(began + LATE_S - loop.time(), _BETWEEN_LOOKS_S)
        self._next_look = loop.call_later(wait_s, self._look_for_late)

    def _end(
        self,
        partition: int,
        broker: int | None,
        owners: dict[Append, list[int]],
        size: int,
        error: BaseException | None,
        at_ms: int | None = None,
    ) -> None:
        del self._batches[partition]
        self._under_way.discard(partition)
        self._brokers_under_way.discard(broker)
        if error is None:
            self._counts.batches += 1
            self._counts.events += sum(map(len, owners.values()))
            self._counts.event_bytes += size
            for append, places in owners.items():
                append.acknowledge(places, at_ms)
        else:
            self._counts.refused_batches += 1
            for append, places in owners.items():
                append.refuse(places, f"Kafka did not acknowledge: {error!r}")
            self._on_error(self)
        self.go_on()
        if self._is_retired:
            self._on_freed()


def _taken_at(acknowledged: asyncio.Future[RecordMetadata]) -> int | None:
    """By the broker's clock, which all records of a batch have; None of a topic that keeps the senders' times, and of a
    batch that was sent again after the broker had forgotten its first answer."""
    at_ms = acknowledged.result().timestamp
    return None if at_ms is None or at_ms < 0 else at_ms

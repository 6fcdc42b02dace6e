"""Fetch, store, commit: the loop of one topic. Events and summaries have one each, so neither waits for the other.

A flush starts at once after a quiet time; while it runs, and until the pace allows the next, the next batch gathers in
the consumer's buffers, whose size is bounded.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from sinks.assignment import Assignment
from sinks.errors import EpochError, RevokedError
from sinks.pace import Pace
from sinks.retry import Backoff
from sinks.table_writer import CLICKHOUSE_ERRORS
from sinks.tenure import Tenure
from stream_processors.consumed_offsets import consumed_offsets

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 1000


class Store(Protocol):
    """Where the records of one topic go during one tenure."""

    async def store(self, records: Sequence[Any]) -> None:
        """Returns when each record is stored or dead-lettered; raises RevokedError when the tenure ends first."""
        ...

    def committable(self, partition: TopicPartition, last: int) -> OffsetAndMetadata:
        """What to commit, now that everything up to the offset `last` is stored."""
        ...


Batch = Mapping[TopicPartition, Sequence[Any]]


class TopicFlow(ABC):
    """One topic of one consumer, from tenure to tenure.

    `on_begun` is called each time the partitions of a tenure are ready to be read.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, *, max_rows: int, flush_s: float, on_begun: Callable[[], None]
    ) -> None:
        self.consumer = consumer
        self.topic = topic
        self._max_rows = max_rows
        self._pace = Pace(flush_s)
        self._on_begun = on_begun

    @abstractmethod
    async def begin(self, tenure: Tenure, partitions: Sequence[TopicPartition]) -> Store:
        """Find out what of these partitions is stored already. May be repeated, and cancelled."""

    async def run(self, assignment: Assignment) -> None:
        """Runs until it is cancelled. Raises EpochError when going on would lose or double."""
        while True:
            tenure = await assignment.tenure()
            try:
                async with tenure.working():
                    store = await self._begin(tenure)
                    while True:
                        await self._step(tenure, store)
            except RevokedError:
                log.info("%s: partitions revoked", self.topic)
            except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
                raise EpochError(
                    f"{self.topic}: Kafka does not have the offset that is to be read next ({error}): the topic was "
                    "made anew, or retention deleted it. Restart the sink for the details"
                ) from error

    async def _begin(self, tenure: Tenure) -> Store:
        backoff = Backoff()
        while True:
            tenure.check()
            try:
                store = await tenure.unless_revoked(self.begin(tenure, tenure.of(self.topic)))
            except (KafkaError, *CLICKHOUSE_ERRORS) as error:
                log.warning("%s: cannot begin yet, trying again: %r", self.topic, error)
            else:
                self._on_begun()
                return store
            await tenure.pause(backoff.next_s())

    async def _step(self, tenure: Tenure, store: Store) -> None:
        """One batch:

        1. fetch, and while the pace forbids a flush, fetch more;
        2. store it: each record is now a row that ClickHouse has acknowledged, or a dead letter;
        3. commit how far each partition was read: past its last record, and past the transaction markers behind it,
           which no fetch returns. Markers alone are read past and committed, too.
        """
        partitions = tenure.of(self.topic)
        if not partitions:
            await tenure.pause(3600)
            return
        tenure.check()
        before = consumed_offsets(self.consumer)
        fetched = await tenure.unless_revoked(self._fetch(partitions, FETCH_WAIT_MS, self._max_rows))
        batches = [fetched]
        if fetched and (wait_s := self._pace.wait_s(monotonic())):
            await tenure.pause(wait_s)
            room = self._max_rows - sum(map(len, fetched.values()))
            if room > 0:
                batches.append(await tenure.unless_revoked(self._fetch(partitions, 0, room)))
        reached = consumed_offsets(self.consumer)
        last = {tp: records[-1].offset for batch in batches for tp, records in batch.items() if records}
        last |= {tp: reached[tp] - 1 for tp in partitions if tp in reached and reached[tp] != before.get(tp)}
        if not last:
            return
        started = monotonic()
        await store.store([record for batch in batches for records in batch.values() for record in records])
        try:
            await self.consumer.commit({tp: store.committable(tp, offset) for tp, offset in last.items()})
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("%s: not committed, the group has moved on: %s", self.topic, error)
            raise RevokedError from error
        self._pace.flushed(started, monotonic())

    async def _fetch(self, partitions: Sequence[TopicPartition], timeout_ms: int, max_records: int) -> Batch:
        return await self.consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)

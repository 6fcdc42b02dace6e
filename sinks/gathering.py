"""The batch that is read while the one before is stored.

    EMPTY ----- records -----> BEHIND --- as large as one INSERT ---> FULL
      |                          |                                      |
      | records, and nothing     | the batch before is committed        | the batch before is committed
      | holds them up            v                                      |
      |                        PACED --- the pause is over, or full --+ |
      v                                                               v v
      +-------------------------------------------------------------> DUE

DUE ends it: the batch is stored, and the next one begins EMPTY.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from time import monotonic
from typing import Generic, Protocol, TypeVar

from aiokafka import TopicPartition

from axonstream.contract.record_validation import runs
from axonstream.process.loop_share import LoopShare
from axonstream.sinks.read_record import ReadRecord
from axonstream.sinks.topic_reader import FETCH_ROWS, READ_WAIT_MS, Fetched, Reached
from axonstream.sinks.writing.pace import Pace

REST_S = 0.01  # between two fetches of little while a batch must wait: each costs Kafka and the sink half a ms
_LITTLE = FETCH_ROWS // 10


class Batch(Protocol):
    """What was read of one topic, ready to be stored."""

    records: int
    size: int

    def add(self, records: Sequence[ReadRecord]) -> None:
        """`records` are of one partition, and at least one."""
        ...


BatchT = TypeVar("BatchT", bound=Batch)


class Stage(Enum):
    """What keeps a batch from being stored."""

    EMPTY = auto()  # nothing is read yet
    BEHIND = auto()  # the batch before is not committed; more is read meanwhile
    FULL = auto()  # the same, and nothing more is read
    PACED = auto()  # the batch before is committed, and ClickHouse has a pause; more is read meanwhile
    DUE = auto()  # nothing


class Gathering(Generic[BatchT]):
    """One batch, and how far the partitions are read with it. `before` stores and commits the batch before it.

    `stage` is that of the latest `look`.
    """

    def __init__(
        self,
        batch: BatchT,
        before: asyncio.Task[None] | None,
        pace: Pace,
        *,
        most_records: int,
        most_bytes: int,
    ) -> None:
        self.batch = batch
        self.reached: dict[TopicPartition, Reached] = {}
        self.stage = Stage.EMPTY
        self._before = before
        self._pace = pace
        self._pause_s = 0.0
        self._most_records = most_records
        self._most_bytes = most_bytes

    @property
    def room(self) -> int:
        """How many more records it takes."""
        return self._most_records - self.batch.records

    def look(self) -> Stage:
        """The stage now. Raises what storing the batch before has raised."""
        if self._before is not None and self._before.done():
            self._before.result()
            self._before = None
        is_full = self.room <= 0 or self.batch.size >= self._most_bytes
        self._pause_s = 0.0 if is_full else self._pace.wait_s(monotonic())
        if not self.reached:
            self.stage = Stage.EMPTY
        elif self._before is not None:
            self.stage = Stage.FULL if is_full else Stage.BEHIND
        else:
            self.stage = Stage.PACED if self._pause_s else Stage.DUE
        return self.stage

    async def add(self, fetched: Fetched) -> None:
        """Judge what was fetched, and rest a little where it was little and there is time."""
        await judge(fetched.records.values(), self.batch)
        for tp, offset in fetched.last.items():
            before = self.reached[tp].mark if tp in self.reached else None
            self.reached[tp] = Reached(offset, fetched.marks.get(tp, before))
        if fetched.size() < _LITTLE and (self._before is not None or self._pause_s):
            left_s = self._left_s()
            await _first_of([self._before], REST_S if left_s is None else min(REST_S, left_s))

    async def change(self, fetching: asyncio.Task[Fetched] | None) -> None:
        """Returns when something is fetched, or may have come that moves the batch to another stage."""
        await _first_of([fetching, self._before], self._left_s())

    def _left_s(self) -> float | None:
        return self._pause_s if self.stage is Stage.PACED else None


async def judge(fetched: Iterable[Sequence[ReadRecord]], batch: Batch) -> None:
    """Add to the batch what was fetched. However dear the records are, heartbeats are sent in between."""
    share = LoopShare()
    for records in fetched:
        for run in runs(records):
            batch.add(run)
            if share.is_over():
                await share.give_way()


async def _first_of(
    tasks: Iterable[asyncio.Task[Fetched] | asyncio.Task[None] | None], timeout_s: float | None
) -> None:
    """Returns when one of them is done, or the time is over; cancels none of them."""
    waited = [task for task in tasks if task is not None]
    if waited:
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(READ_WAIT_MS / 1000 if timeout_s is None else timeout_s)

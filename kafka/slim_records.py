"""What processor and sink need of a consumed record, made at a third of the cost of aiokafka's own record.

Hooks methods of aiokafka 0.14.0's fetcher; `tests/stream_processors/test_hooked_internals.py` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords


class SlimRecord(NamedTuple):
    """Named as in aiokafka's ConsumerRecord; `timestamp` is in ms since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


_made: Any = partial(tuple.__new__, SlimRecord)  # as SlimRecord(...), at half of the cost


def consume_slim_records(consumer: AIOKafkaConsumer, is_of: Callable[[str], bool]) -> None:
    """From now on `getmany` gives SlimRecord for topics for which `is_of` is true.

    Call it after the consumer's start, before anything is fetched.
    """
    fetcher: Any = consumer._fetcher
    answered = fetcher._proc_fetch_request

    async def proc_fetch_request(assignment: Any, node_id: int, request: Any) -> bool:
        found = await answered(assignment, node_id, request)
        for partition, result in fetcher._records.items():  # nobody has read of them: no other task has run since
            if isinstance(result, FetchResult) and result._partition_records is not None and is_of(partition.topic):
                result._partition_records.__class__ = _SlimRecords
        return found

    fetcher._proc_fetch_request = proc_fetch_request


class _SlimRecords(PartitionRecords):
    def __iter__(self) -> Any:
        return self._records_iterator  # itself, without a call of `__next__` for each record

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any:
        return _made((*tp, record.offset, record.timestamp, record.key, record.value))

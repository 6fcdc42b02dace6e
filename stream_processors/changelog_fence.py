"""I17: who takes over a partition of the changelog shuts out, at the broker, whoever wrote to it before.

Compaction keeps the last record of a key, not the highest offset (I10). A late write of an owner that was replaced
would outlive its successor's states. The lease (I8) stops it unless it is held back behind the check: in a paused
virtual machine, or by the network. So each partition has a producer id of its own, which Kafka gives for a
transactional id (KIP-98). Asking for it raises its epoch. The new owner writes one record with the new epoch before it
reads the changelog; from then on the leader refuses every batch of an older epoch (INVALID_PRODUCER_EPOCH), and the
late writer ends. Nothing is written in transactions: they would cost markers and a commit for each chunk.

Not covered: an owner of over seven days (`transactional.id.expiration.ms`). Its successor gets another id, and the
lease alone holds the predecessor back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
    RequestTimedOutError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.transaction import InitProducerIdRequest

log = logging.getLogger(__name__)

RETRY_S = 0.05
TRANSACTION_TIMEOUT_MS = 60_000  # of the transactions that are never begun
_RETRIABLE = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NodeNotReadyError,
    NotCoordinatorError,
    RequestTimedOutError,
)


class FencedIds(TransactionManager):
    """The ids and epochs of an idempotent producer, which differ for partitions that were `fence`d.

    aiokafka 0.14.0's accumulator asks for the sequence number of a batch's partition, and then, without an await, for
    id and epoch.
    """

    _fences: dict[TopicPartition, tuple[int, int]]
    _asked: TopicPartition | None

    @classmethod
    def of(cls, producer: AIOKafkaProducer) -> FencedIds:
        """The manager of this producer, made one of these."""
        manager: Any = producer._txn_manager
        if not isinstance(manager, cls):
            manager.__class__ = cls
            manager._fences, manager._asked = {}, None
        return manager

    def fence(self, partition: TopicPartition, producer_id: int, epoch: int) -> None:
        """From now on batches of `partition`, of which none is under way, have this id and epoch."""
        self._fences[partition] = producer_id, epoch
        self._sequence_numbers[partition] = 0

    def sequence_number(self, tp: TopicPartition) -> int:
        self._asked = tp
        return super().sequence_number(tp)

    @property
    def producer_id(self) -> int:
        return self._fence()[0]

    @property
    def producer_epoch(self) -> int:
        return self._fence()[1]

    def _fence(self) -> tuple[int, int]:
        own: tuple[int, int] = self._pid_and_epoch
        return own if self._asked is None else self._fences.get(self._asked, own)


async def fence_partitions(
    producer: AIOKafkaProducer,
    partitions: Collection[TopicPartition],
    write: Callable[[TopicPartition], Coroutine[Any, Any, None]],
) -> None:
    """Returns when no earlier owner can write to any of the partitions; nothing of ours may be under way to them.

    `write` puts one record on a partition, and returns when it is acknowledged. Raises KafkaError.
    """
    ids = FencedIds.of(producer)

    async def fence(partition: TopicPartition) -> None:
        try:
            ids.fence(partition, *await _taken_over(producer, f"{partition.topic}-{partition.partition}"))
        except TransactionalIdAuthorizationFailed:
            log.warning(
                "this client may not use the transactional ids %s-*: a zombie is held back by its lease alone",
                partition.topic,
            )
        await write(partition)

    await asyncio.gather(*(fence(partition) for partition in partitions))


async def _taken_over(producer: AIOKafkaProducer, transactional_id: str) -> tuple[int, int]:
    """Producer id, and an epoch above that of any earlier owner."""
    client: Any = producer.client
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            await client.ready(node, group=ConnectionGroup.COORDINATION)
            request = InitProducerIdRequest(
                transactional_id=transactional_id, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS
            )
            answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
            if not answer.error_code:
                return answer.producer_id, answer.producer_epoch
            refused: type[KafkaError] = for_code(answer.error_code)
            raise refused(transactional_id)
        except _RETRIABLE as error:
            log.info("no producer id for %s yet: %r", transactional_id, error)
            await asyncio.sleep(RETRY_S)

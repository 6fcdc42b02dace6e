"""How far a consumer has read, transaction markers included: no fetch returns them, but reading moves past them."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


def consumed_offsets(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """By assigned partition, the offset that the next fetch begins at. Unlike `position`, it does not wait where that
    is not known yet: such partitions are left out."""
    subscription: Any = consumer._subscription.subscription
    assignment = subscription.assignment if subscription else None
    if assignment is None:
        return {}
    return {tp: consumed.offset for tp, consumed in assignment.all_consumed_offsets().items()}

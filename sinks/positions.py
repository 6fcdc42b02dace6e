"""Where a partition stands in Kafka, and whether going on from there would lose or double records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from sinks.errors import EpochError


@dataclass(frozen=True, slots=True)
class Position:
    """Offsets of one partition: committed by the sink's group with `metadata`, start and end of the log."""

    partition: TopicPartition
    committed: int
    metadata: str
    log_start: int
    log_end: int

    def check(self, ceiling: int) -> None:
        """Raises EpochError when the log is not the one that was read so far, or has lost what was not read yet.

        `ceiling` is the highest offset that is stored, -1 when none is.
        """
        where = f"{self.partition.topic} partition {self.partition.partition}"
        if self.committed < self.log_start:
            raise EpochError(
                f"{where}: the records {self.committed} to {self.log_start - 1} were deleted by Kafka's retention "
                "before they were stored. They are lost. To go on without them, stop the sinks and set the group to "
                "the start of the log: kafka-consumer-groups.sh --reset-offsets --to-earliest --topic "
                f"{self.partition.topic}:{self.partition.partition} --execute"
            )
        if self.log_end < max(self.committed, ceiling + 1):
            raise EpochError(
                f"{where}: the log ends at {self.log_end}, but was read up to {max(self.committed, ceiling + 1)}: "
                "Kafka has lost its end, or the topic was made anew. Restore it, or stop the sinks and run "
                "`axonstream init --new-epoch`: what is stored stays, and the log is read from its start"
            )


async def read_positions(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> list[Position]:
    """Ask Kafka. Raises EpochError when nothing is committed: making an epoch commits each log's start."""
    coordinator: Any = consumer._coordinator
    committed = await coordinator.fetch_committed_offsets(list(partitions))
    starts = await consumer.beginning_offsets(list(partitions))
    ends = await consumer.end_offsets(list(partitions))
    positions: list[Position] = []
    for tp in partitions:
        if tp not in committed:
            raise EpochError(
                f"{tp.topic} partition {tp.partition}: the sink's committed offset is gone: the topic was made anew, "
                "or the group was deleted or has expired. Stop the sinks and run `axonstream init --new-epoch`"
            )
        offset = committed[tp]
        positions.append(Position(tp, offset.offset, offset.metadata, starts[tp], ends[tp]))
    return positions

"""Where a partition stands in Kafka, and whether going on from there would lose or double records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.sinks.errors import EpochError


@dataclass(frozen=True, slots=True)
class Position:
    """Offsets of one partition: committed by the sink's group with `metadata`, start and end of the log."""

    partition: TopicPartition
    committed: int
    metadata: str
    log_start: int
    log_end: int

    @property
    def note(self) -> CommitNote:
        """What the metadata says."""
        return decode_note(self.metadata)

    def check_deleted(self) -> None:
        """Raises EpochError when Kafka's retention has deleted what was not read yet."""
        if self.committed < self.log_start:
            raise EpochError(
                f"{self.partition.topic} partition {self.partition.partition}: the records {self.committed} to "
                f"{self.log_start - 1} were deleted by Kafka's retention before they were stored. They are lost. To go "
                "on without them, stop the sinks and run `axonstream init --new-epoch`: what is stored stays, and the "
                "log is read from where it begins now"
            )


async def read_positions(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> list[Position]:
    """Ask Kafka. Raises EpochError when nothing is committed: `axonstream init` commits a place in each log."""
    coordinator: Any = consumer._coordinator
    committed = await coordinator.fetch_committed_offsets(list(partitions))
    starts = await consumer.beginning_offsets(list(partitions))
    ends = await consumer.end_offsets(list(partitions))
    positions: list[Position] = []
    for tp in partitions:
        if tp not in committed:
            raise EpochError(
                f"{tp.topic} partition {tp.partition}: the sink's committed offset is gone: the group was deleted or "
                "has expired, or the partition was added. Stop the sinks and run `axonstream init`: it finds out from "
                "what is stored where to go on"
            )
        offset = committed[tp]
        positions.append(Position(tp, offset.offset, offset.metadata, starts[tp], ends[tp]))
    return positions

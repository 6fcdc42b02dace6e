"""A chunk: records of one partition that follow each other, which the agent gets as one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import faust
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import TP

from axonstream.contract.record_validation import Record
from axonstream.contract.slices import slices
from axonstream.kafka.record_identity import NO_EPOCH, CommitNote, RecordMark, mark_of
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.settle_ledger import Outputs

R = TypeVar("R", bound=Record)
CHUNK_BYTES = 512 << 10  # of the dearest events: 20 ms of judging


class Delivery(Protocol):
    """Who delivered the chunk: the chunked consumer."""

    def claim(self, chunk: Chunk) -> None: ...
    def settle(self, chunk: Chunk, outputs: Outputs) -> None: ...
    def note(self, chunk: Chunk) -> CommitNote: ...


class Chunk:
    """Read `records()`, fold them, and `settle()`, without an await in between (I11).

    The first chunk of a partition after each assignment is empty and only states the position that folding starts
    from. `start` and `end` are positions: every record is at `start` or later and below `end`, and what else is
    between them are transaction markers; there may be nothing but markers. A chunk that `is_pause` is empty, too:
    nothing came for a while, and the agent may do what it does between chunks. A first chunk that `begins_anew` says
    that the log is not the one that was folded before.

    The other attributes make it pass for the one record that Faust expects; its offset is that of its last record.
    """

    timestamp_type = 0
    headers = None
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    def __init__(
        self,
        delivery: Delivery,
        tp: TP,
        records: Sequence[ConsumerRecord[bytes, bytes]],
        *,
        start: int,
        end: int,
        generation: int,
        is_pause: bool = False,
        begins_anew: bool = False,
        leader_epoch: int = NO_EPOCH,
    ) -> None:
        self.topic, self.partition = self.tp = tp
        self.start = start
        self.end = end
        self.generation = generation
        self.offset = records[-1].offset if records else max(start, end - 1)
        self.timestamp = records[-1].timestamp if records else 0
        self.is_pause = is_pause
        self.begins_anew = begins_anew
        self.mark: RecordMark | None = mark_of(records[-1], leader_epoch) if records else None
        self.settled = False
        self._delivery = delivery
        self._records = records

    @classmethod
    def of(
        cls,
        delivery: Delivery,
        tp: TP,
        records: Sequence[ConsumerRecord[bytes, bytes]],
        *,
        start: int,
        end: int,
        generation: int,
        epoch_at: Callable[[TopicPartition, int], int],
    ) -> list[Chunk]:
        """The chunks of one fetch, which begins at the position `start` and ends at `end`."""
        pieces = folded_at_once(records)
        ends = [*(following[0].offset for following in pieces[1:]), end]
        return [
            cls(
                delivery,
                tp,
                piece,
                start=begins,
                end=ends_at,
                generation=generation,
                leader_epoch=epoch_at(TopicPartition(*tp), piece[-1].offset) if piece else NO_EPOCH,
            )
            for piece, begins, ends_at in zip(pieces, [start, *ends], ends, strict=False)
        ]

    @property
    def value(self) -> Chunk:
        return self

    def records(self) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """The records in offset order. Raises BrokenInvariantError when they must not be folded now."""
        self._delivery.claim(self)
        return self._records

    def note(self) -> CommitNote:
        """How far folding has come with this chunk, and the last record before that."""
        return self._delivery.note(self)

    def settle(self, outputs: Outputs) -> None:
        """The chunk is folded; its offsets may be committed when all `outputs` are acknowledged (I4)."""
        if self.settled:
            raise BrokenInvariantError(f"a chunk of {self.tp} was settled twice")
        self.settled = True
        self._delivery.settle(self, outputs)


def folded_at_once(records: Sequence[R]) -> list[Sequence[R]]:
    """The records of a fetch in pieces; one at least. The event loop has a turn between two of them."""
    sizes = [len(record.value or b"") for record in records]
    if sum(sizes) <= CHUNK_BYTES:
        return [records]
    return list(slices(records, sizes, len(records), CHUNK_BYTES))


class ChunkSchema(faust.Schema[Any, Any]):
    """A topic with this schema is delivered by chunk; any other topic as Faust does."""

    def loads_key(self, *_: Any, **__: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  Faust passes it by name
        return message.value

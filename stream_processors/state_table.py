"""The table of trace states: Faust's in-memory table, with a changelog that is written and merged by chunk."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from functools import cached_property
from time import monotonic
from typing import Any, cast

import faust
from faust.types import TP

from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.kafka.topics import FOLDED_KEY, REBUILD_KEY
from axonstream.process.fail_stop import FailStop
from axonstream.stream_processors.chunked_producer import ChunkedProducer, OutputRecord
from axonstream.stream_processors.errors import StateFormatError
from axonstream.stream_processors.idle_order import IdleOrder
from axonstream.stream_processors.snapshots import announced, folded_record
from axonstream.stream_processors.start_position import ALL
from axonstream.stream_processors.trace_state import (
    TraceState,
    format_error,
    is_page_key,
    packed_fence,
    tombstone_fence,
    tombstone_records,
)
from axonstream.stream_processors.trace_states import TraceStates


class StateTable(faust.Table):
    """State key -> TraceState, packed. Written to only by the fold; `queue_changelog` makes the writes durable.

    `idle` holds the same keys, ordered by when they were last folded here; `folded` says, by partition, how far the
    states reach, where the changelog says so; `rebuild` holds the partitions that are to be folded again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle = IdleOrder()
        self.folded: dict[int, CommitNote] = {}
        self.rebuild: set[int] = set()
        self._unreadable: dict[bytes, tuple[int, StateFormatError]] = {}

    @cached_property
    def states(self) -> TraceStates:
        """The states of all assigned partitions; Faust drops those of a partition that is taken away."""
        return TraceStates(cast("Any", self.data).data, partitions=cast("Any", self.data)._key_partition)

    def queue_changelog(
        self,
        partition: int,
        begun: Iterable[bytes],
        records: Sequence[OutputRecord],
        start: int,
        note: CommitNote,
    ) -> list[Future[Any]]:
        """Queue the changelog records of traces of one partition; returns the acknowledgements to come.

        `begun` are the keys of those that are new here. The partition was folded up to `start` before these records,
        and is as `note` says with them.
        """
        cast("Any", self.data)._key_partition.update(dict.fromkeys(begun, partition))
        self.folded[partition] = note
        written = announced(records, start, note, folded_record)
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, written)

    def queue_left(self, left: Iterable[tuple[int, bytes, TraceState]]) -> list[Future[Any]]:
        """Take out of the changelog the states that traces had in other partitions; as `queue_tombstones`."""
        producer = cast("ChunkedProducer", self.app.producer)
        return [
            output
            for partition, key, state in left
            for output in producer.queue(self.changelog_topic_name, partition, tombstone_records(key, state))
        ]

    def partition_of(self, key: bytes) -> int:
        """The partition of a live trace."""
        return cast("Any", self.data)._key_partition[key]

    def queue_tombstones(self, partition: int, keys: Iterable[bytes]) -> list[Future[Any]]:
        """Queue what takes these states out of the changelog; returns the acknowledgements to come."""
        records = [record for key in keys for record in tombstone_records(key, self.states[key])]
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def forget_below(self, partition: int, offset: int) -> list[Future[Any]]:
        """Forget the states of a partition whose last offset is below `offset`, here and on the changelog.

        With ALL, also those that this version cannot read, and an order to do this.

        Returns the acknowledgements to come. The tombstones are of any state: what follows may have lower offsets.
        """
        states, key_partition = self.states, cast("Any", self.data)._key_partition
        keys = [
            key for key, packed in states.packed.items()
            if key_partition[key] == partition and packed_fence(packed) < offset
        ]  # fmt: skip
        records = [(record[0], None) for key in keys for record in tombstone_records(key, states[key])]
        for key in keys:
            self.forget(key)
        if offset == ALL:
            unreadable = [key for key, (of, _) in self._unreadable.items() if of == partition]
            records += [(key, None) for key in [*unreadable, REBUILD_KEY]]
            self.rebuild.discard(partition)
            for key in unreadable:
                del self._unreadable[key]
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def forget(self, key: bytes) -> None:
        """Forget a state, here and only here."""
        self.states.forget(key)
        cast("Any", self.data)._key_partition.pop(key, None)
        self.idle.forget(key)

    def merge(self, records: Sequence[Any], partition: int) -> None:
        """Merge changelog records. I10: the highest offset wins, not the last record; a tombstone has one, too.

        Of a trace that moved when partitions were added, the state of its own partition wins: offsets of two
        partitions do not compare.

        A state that this version cannot read is kept aside: see `check_readable`.
        """
        states, key_partition = self.states, cast("Any", self.data)._key_partition
        merged: dict[bytes, None] = {}
        for record in records:
            key = record.key
            if key == FOLDED_KEY:
                self.folded[partition] = decode_note((record.value or b"").decode())
            elif key == REBUILD_KEY:
                (self.rebuild.discard if record.value is None else self.rebuild.add)(partition)
            elif record.value is None:
                states.pages.pop(key, None)
                self._unreadable.pop(key, None)
                known = states.last_offset(key)
                if known is not None and key_partition[key] == partition and known <= tombstone_fence(record.headers):
                    self.forget(key)
                    merged.pop(key, None)
            elif is_page_key(key):
                states.pages[key] = record.value
            else:
                known = states.last_offset(key)
                if error := format_error(record.value):
                    self._unreadable[key] = partition, error
                elif (
                    known is None
                    or (packed_fence(record.value) > known and key_partition[key] == partition)
                    or (key_partition[key] != partition and self._is_home(key, partition))
                ):
                    states.packed[key] = record.value
                    key_partition[key] = partition
                    merged[key] = None
                    if self._unreadable:
                        self._unreadable.pop(key, None)
        self.idle.folded(merged, monotonic())

    def _is_home(self, key: bytes, partition: int) -> bool:
        trace = key.partition(b"\x00")[2]
        return partition_of(trace, self.app.conf.topic_partitions) == partition

    def check_readable(self) -> None:
        """Raises StateFormatError when there are states that this version cannot read, and no order to forget them."""
        for partition, error in self._unreadable.values():
            if partition not in self.rebuild:
                raise error

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            with FailStop():  # Faust would log the error, and go on without the state
                self.merge((event.message,), event.message.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        assigned = {tp.partition for tp in active_tps}
        self.rebuild &= assigned
        self._unreadable = {key: found for key, found in self._unreadable.items() if found[0] in assigned}
        self.folded = {partition: note for partition, note in self.folded.items() if partition in assigned}
        self.idle.keep_only(self.states)  # Faust dropped the states of partitions that went elsewhere
        self.states.forget_pages_of_the_dead()

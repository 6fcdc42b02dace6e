"""The table of trace states, with a changelog that is written and merged by chunk. Faust's part is `trace_table`."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Collection, Iterable, Sequence
from time import monotonic
from typing import Any, Protocol

from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.record_identity import CommitNote, decode_note
from axonstream.kafka.topics import FOLDED_KEY, REBUILD_KEY
from axonstream.stream_processors.errors import StateFormatError
from axonstream.stream_processors.idle_order import IdleOrder
from axonstream.stream_processors.output_record import OutputRecord
from axonstream.stream_processors.snapshots import announced, folded_record
from axonstream.stream_processors.start_position import ALL
from axonstream.stream_processors.trace_state import (
    TraceState,
    format_error,
    is_page_key,
    packed_begin,
    packed_fence,
    tombstone_fence,
    tombstone_records,
)
from axonstream.stream_processors.trace_states import TraceStates


class Queue(Protocol):
    """Puts records on a partition of the changelog, once `after` is acknowledged; the acknowledgements to come."""

    def __call__(
        self, partition: int, records: Iterable[OutputRecord], after: Sequence[Future[Any]] = (), /
    ) -> list[Future[Any]]: ...


class StateTable:
    """State key -> TraceState, packed. Written to only by the fold; `queue_changelog` makes the writes durable.

    `states` are those of all assigned partitions. `idle` holds the same keys, ordered by when they were last folded
    here; `folded` says, by partition, how far the states reach, where the changelog says so; `rebuild` holds the
    partitions that are to be folded again.
    """

    def __init__(
        self, packed: dict[bytes, bytes], key_partition: dict[bytes, int], *, partitions: int, queue: Queue
    ) -> None:
        """`packed` and `key_partition` may lose the keys of a partition that is taken away: see `recovered`.

        `partitions` is how many the events have.
        """
        self.states = TraceStates(packed, partitions=key_partition)
        self.idle = IdleOrder()
        self.folded: dict[int, CommitNote] = {}
        self.rebuild: set[int] = set()
        self._key_partition = key_partition
        self._partitions = partitions
        self._queue = queue
        self._unreadable: dict[bytes, tuple[int, StateFormatError]] = {}

    def queue_changelog(
        self,
        partition: int,
        begun: Iterable[bytes],
        records: Sequence[OutputRecord],
        start: int,
        note: CommitNote,
        after: Sequence[Future[Any]] = (),
    ) -> list[Future[Any]]:
        """Queue the changelog records of traces of one partition; returns the acknowledgements to come.

        They are sent once `after`, their summaries and steps, is acknowledged (I18).

        `begun` are the keys of those that are new here. The partition was folded up to `start` before these records,
        and is as `note` says with them.
        """
        self._key_partition.update(dict.fromkeys(begun, partition))
        self.folded[partition] = note
        return self._queue(partition, announced(records, start, note, folded_record), after)

    def queue_left(self, left: Iterable[tuple[int, bytes, TraceState]]) -> list[Future[Any]]:
        """Take out of the changelog the states that traces had in other partitions; as `queue_tombstones`."""
        return [
            output for partition, key, state in left for output in self._queue(partition, tombstone_records(key, state))
        ]

    def partition_of(self, key: bytes) -> int:
        """The partition of a live trace."""
        return self._key_partition[key]

    def queue_tombstones(self, partition: int, keys: Iterable[bytes]) -> list[Future[Any]]:
        """Queue what takes these states out of the changelog; returns the acknowledgements to come."""
        records = [record for key in keys for record in tombstone_records(key, self.states[key])]
        return self._queue(partition, records)

    def earliest(self, partition: int, since: int) -> int | None:
        """The lowest first offset of the states of a partition that end at `since` or later."""
        key_partition = self._key_partition
        return min(
            (
                packed_begin(packed)
                for key, packed in self.states.packed.items()
                if key_partition[key] == partition and packed_fence(packed) >= since
            ),
            default=None,
        )

    def forget_misfits(self, partition: int, *, below: int, since: int, log_start: int) -> list[Future[Any]]:
        """Forget the states of a partition that end below an offset, and those that end at one or later, here and on
        the changelog. A later one that began before `log_start` cannot be made again: it stays, and is not exact.

        `below` ALL: also those that this version cannot read, and an order to do this.

        Returns the acknowledgements to come. The tombstones are of any state: what follows may have lower offsets.
        """
        states, key_partition = self.states, self._key_partition
        keys = [
            key for key, packed in states.packed.items()
            if key_partition[key] == partition
            and (packed_fence(packed) < below or (packed_fence(packed) >= since and packed_begin(packed) >= log_start))
        ]  # fmt: skip
        records = [(record[0], None) for key in keys for record in tombstone_records(key, states[key])]
        for key in keys:
            self.forget(key)
        for key in [
            key
            for key, packed in states.packed.items()
            if key_partition[key] == partition and packed_fence(packed) >= since
        ]:
            state = states[key]
            state.exact = False
            records += states.store(key, state)
        if below == ALL:
            unreadable = [key for key, (of, _) in self._unreadable.items() if of == partition]
            records += [(key, None) for key in [*unreadable, REBUILD_KEY]]
            self.rebuild.discard(partition)
            for key in unreadable:
                del self._unreadable[key]
        return self._queue(partition, records)

    def forget(self, key: bytes) -> None:
        """Forget a state, here and only here."""
        self.states.forget(key)
        self._key_partition.pop(key, None)
        self.idle.forget(key)

    def merge(self, records: Sequence[Any], partition: int) -> None:
        """Merge changelog records. I10: the highest offset wins, not the last record; a tombstone has one, too.

        Of a trace that moved when partitions were added, the state of its own partition wins: offsets of two
        partitions do not compare.

        A state that this version cannot read is kept aside: see `check_readable`.
        """
        states, key_partition = self.states, self._key_partition
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
        return partition_of(trace, self._partitions) == partition

    def check_readable(self) -> None:
        """Raises StateFormatError when there are states that this version cannot read, and no order to forget them."""
        for partition, error in self._unreadable.values():
            if partition not in self.rebuild:
                raise error

    def recovered(self, assigned: Collection[int]) -> None:
        """All changelogs of the `assigned` partitions are merged. Forget what is of others."""
        self.rebuild.intersection_update(assigned)
        self._unreadable = {key: found for key, found in self._unreadable.items() if found[0] in assigned}
        self.folded = {partition: note for partition, note in self.folded.items() if partition in assigned}
        self.idle.keep_only(self.states)
        self.states.forget_pages_of_the_dead()

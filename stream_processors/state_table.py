"""The table of trace states: Faust's in-memory table, with a changelog that is written and merged by chunk."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from functools import cached_property
from time import monotonic
from typing import Any, cast

import faust
from faust.types import TP

from stream_processors.chunked_producer import ChunkedProducer, OutputRecord
from stream_processors.fail_stop import FailStop
from stream_processors.idle_order import IdleOrder
from stream_processors.trace_state import (
    check_format,
    is_page_key,
    packed_fence,
    tombstone_fence,
    tombstone_records,
)
from stream_processors.trace_states import TraceStates


class StateTable(faust.Table):
    """State key -> TraceState, packed. Written to only by the fold; `queue_changelog` makes the writes durable.

    `idle` holds the same keys, ordered by when they were last folded here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle = IdleOrder()

    @cached_property
    def states(self) -> TraceStates:
        """The states of all assigned partitions; Faust drops those of a partition that is taken away."""
        return TraceStates(cast("Any", self.data).data)

    def queue_changelog(
        self, partition: int, begun: Iterable[bytes], records: Sequence[OutputRecord]
    ) -> list[Future[Any]]:
        """Queue the changelog records of traces of one partition; returns the acknowledgements to come.

        `begun` are the keys of those that are new here.
        """
        cast("Any", self.data)._key_partition.update(dict.fromkeys(begun, partition))
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def partition_of(self, key: bytes) -> int:
        """The partition of a live trace."""
        return cast("Any", self.data)._key_partition[key]

    def find_partition_of(self, key: bytes) -> int | None:
        """As `partition_of`; None for a trace that is not live."""
        return cast("Any", self.data)._key_partition.get(key)

    def queue_tombstones(self, partition: int, keys: Iterable[bytes]) -> list[Future[Any]]:
        """Queue what takes these states out of the changelog; returns the acknowledgements to come."""
        records = [record for key in keys for record in tombstone_records(key, self.states[key])]
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def forget(self, key: bytes) -> None:
        """Forget a state, here and only here."""
        self.states.forget(key)
        cast("Any", self.data)._key_partition.pop(key, None)
        self.idle.forget(key)

    def merge(self, records: Sequence[Any], partition: int) -> None:
        """Merge changelog records. I10: the highest offset wins, not the last record; a tombstone has one, too.

        Raises StateFormatError for a state that this version cannot read.
        """
        states, key_partition = self.states, cast("Any", self.data)._key_partition
        merged: dict[bytes, None] = {}
        for record in records:
            key = record.key
            if record.value is None:
                states.pages.pop(key, None)
                known = states.last_offset(key)
                if known is not None and known <= tombstone_fence(record.headers):
                    self.forget(key)
                    merged.pop(key, None)
            elif is_page_key(key):
                states.pages[key] = record.value
            else:
                check_format(record.value)
                known = states.last_offset(key)
                if known is None or packed_fence(record.value) > known:
                    states.packed[key] = record.value
                    key_partition[key] = partition
                    merged[key] = None
        self.idle.folded(merged, monotonic())

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            with FailStop():  # Faust would log the error, and go on without the state
                self.merge((event.message,), event.message.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        self.idle.keep_only(self.states)  # Faust dropped the states of partitions that went elsewhere
        self.states.forget_pages_of_the_dead()

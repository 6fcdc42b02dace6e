"""The table of trace states: Faust's in-memory table, with a changelog that is written and merged by chunk."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, cast

import faust
import orjson
from faust.types import TP

from stream_processors.chunked_producer import ChunkedProducer
from stream_processors.fail_stop import FailStop
from stream_processors.idle_order import IdleOrder
from stream_processors.trace_state import (
    TraceState,
    changelog_records,
    decode_state,
    is_page_key,
    tombstone_fence,
    tombstone_records,
)


class StateTable(faust.Table):
    """State key -> TraceState. Written to only by the fold; `queue_changelog` makes the writes durable.

    `idle` holds the same keys, ordered by when they were last folded here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pages: dict[bytes, bytes] = {}
        self.idle = IdleOrder()

    @property
    def states(self) -> dict[bytes, TraceState]:
        return cast("Any", self.data).data

    def queue_changelog(self, partition: int, changed: Iterable[tuple[bytes, TraceState]]) -> list[Future[Any]]:
        """Queue the changelog records of states of one partition; returns the acknowledgements to come."""
        key_partition = cast("Any", self.data)._key_partition
        records: list[tuple[bytes, bytes]] = []
        for key, state in changed:
            key_partition[key] = partition  # Faust drops the states of a partition that is taken away
            records += changelog_records(key, state)
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def partition_of(self, key: bytes) -> int:
        """The partition of a live trace."""
        return cast("Any", self.data)._key_partition[key]

    def queue_tombstones(self, partition: int, keys: Iterable[bytes]) -> list[Future[Any]]:
        """Queue what takes these states out of the changelog; returns the acknowledgements to come."""
        records = [record for key in keys for record in tombstone_records(key, self.states[key])]
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records)

    def forget(self, key: bytes) -> None:
        """Forget a state, here and only here."""
        self.states.pop(key, None)
        cast("Any", self.data)._key_partition.pop(key, None)
        self.idle.forget(key)

    def merge(self, records: Sequence[Any], partition: int) -> None:
        """Merge changelog records. I10: the highest offset wins, not the last record; a tombstone has one, too.

        Raises StateFormatError for a state that this version cannot read.
        """
        states, key_partition, now = self.states, cast("Any", self.data)._key_partition, monotonic()
        for record in records:
            key = record.key
            if record.value is None:
                self._pages.pop(key, None)
                known = states.get(key)
                if known is not None and known.last_offset <= tombstone_fence(record.headers):
                    self.forget(key)
            elif is_page_key(key):
                self._pages[key] = record.value
            else:
                values = orjson.loads(record.value)
                known = states.get(key)
                if known is None or values[0] > known.last_offset:
                    states[key] = decode_state(key, values, self._pages)
                    key_partition[key] = partition
                    self.idle.folded((key,), now)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            with FailStop():  # Faust would log the error, and go on without the state
                self.merge((event.message,), event.message.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        self.idle.keep_only(self.states)  # Faust dropped the states of partitions that went elsewhere
        self.forget_pages()

    def forget_pages(self) -> None:
        """Recovery is over: the states hold the ids of their pages."""
        self._pages.clear()

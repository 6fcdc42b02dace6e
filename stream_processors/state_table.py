"""The table of trace states: Faust's in-memory table, with a changelog that is written and merged by chunk."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from typing import Any, cast

import faust
import orjson
from faust.types import TP

from stream_processors.chunked_producer import ChunkedProducer
from stream_processors.fail_stop import FailStop
from stream_processors.trace_state import TraceState, changelog_records, decode_state, is_page_key


class StateTable(faust.Table):
    """State key -> TraceState. Written to only by the fold; `queue_changelog` makes the writes durable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pages: dict[bytes, bytes] = {}

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

    def merge(self, records: Sequence[Any], partition: int) -> None:
        """Merge changelog records. I10: the highest offset wins, not the last record.

        Raises StateFormatError for a state that this version cannot read.
        """
        states, key_partition = self.states, cast("Any", self.data)._key_partition
        for record in records:
            key = record.key
            if record.value is None:
                states.pop(key, None)
                key_partition.pop(key, None)
                self._pages.pop(key, None)
            elif is_page_key(key):
                self._pages[key] = record.value
            else:
                values = orjson.loads(record.value)
                known = states.get(key)
                if known is None or values[0] > known.last_offset:
                    states[key] = decode_state(key, values, self._pages)
                    key_partition[key] = partition

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            with FailStop():  # Faust would log the error, and go on without the state
                self.merge((event.message,), event.message.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        self.forget_pages()

    def forget_pages(self) -> None:
        """Recovery is over: the states hold the ids of their pages."""
        self._pages.clear()

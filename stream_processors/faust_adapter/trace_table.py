"""Faust's table of trace states: it gives the dicts, says when they are recovered, and knows the changelog's name."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, cast

import faust
from faust.types import TP

from axonstream.process.fail_stop import FailStop
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.output_record import OutputRecord
from axonstream.stream_processors.state_table import StateTable


class TraceTable(faust.Table[bytes, bytes]):
    """Only for Faust: the processor reads and writes `state_table`."""

    @cached_property
    def state_table(self) -> StateTable:
        """The states. Faust drops those of a partition that is taken away from the dicts of its store."""
        store: Any = self.data
        return StateTable(
            store.data, store._key_partition, partitions=self.app.conf.topic_partitions, queue=self._queue
        )

    def _queue(
        self, partition: int, records: Iterable[OutputRecord], after: Sequence[Future[Any]] = ()
    ) -> list[Future[Any]]:
        return cast("ChunkedProducer", self.app.producer).queue(self.changelog_topic_name, partition, records, after)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            with FailStop():  # Faust would log the error, and go on without the state
                self.state_table.merge((event.message,), event.message.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        self.state_table.recovered({tp.partition for tp in active_tps})

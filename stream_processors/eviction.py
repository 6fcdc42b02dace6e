"""Eviction: the states of idle traces leave memory and changelog; a later event of such a trace starts a new segment.

Two rules make every event part of exactly one segment, whenever the process dies:

I14 Only a state whose last offset is below the committed offset is evicted, and only when everything is committed that
    an earlier life may have folded. What is committed is never read again, so no event of an evicted segment, as its
    summaries have it, can come back, find no state, and be counted once more in a segment of its own.
I15 Nothing is folded between the queueing of a tombstone and its acknowledgement. So whether the tombstone was stored
    or not when the process died, no output holds an event that the next life would count in another segment.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

from axonstream.kafka.topics import Topics
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.idle_order import EvictionRule
from axonstream.stream_processors.output_record import Output
from axonstream.stream_processors.settle_ledger import Outputs
from axonstream.stream_processors.snapshots import summary_record
from axonstream.stream_processors.state_table import StateTable

ROUND = 1000  # traces; some 10 ms of the loop


class Commits(Protocol):
    """Who commits what is folded: the chunked consumer."""

    def final_below(self, topic: str, partition: int) -> int: ...
    def owe(self, topic: str, partition: int, outputs: Outputs) -> None: ...


class Eviction:
    """Run by the agent between two chunks: it folds nothing meanwhile (I15)."""

    def __init__(
        self,
        commits: Callable[[], Commits],
        output: Callable[[], Output],
        traces: StateTable,
        topics: Topics,
        rule: EvictionRule,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`commits` and `output` are asked for anew each time: they are there once the app has started."""
        self._commits = commits
        self._output = output
        self._traces = traces
        self._topics = topics
        self._rule = rule
        self._clock = clock

    def folded(self, keys: Iterable[bytes]) -> None:
        """Events of these traces were folded just now."""
        self._traces.idle.folded(keys, self._clock())

    async def make_room(self) -> None:
        """Evict one round of what is idle, and as many rounds as it takes to come back to the bound of live traces.

        The bound may be exceeded by traces that nobody may evict yet: what was folded since the last commit.
        """
        while self._traces.idle.due(self._rule, self._clock()):
            evicted = await self._round()
            if not evicted or len(self._traces.idle) <= self._rule.most_live:
                return

    async def _round(self) -> int:
        """Returns how many traces were evicted, at most ROUND:

        1. choose traces whose summaries are final (I14)
        2. queue their last summaries and tombstones, and add these to what the ledger waits for: nothing later is
           committed before, and a rebalance waits for them, too
        3. wait for the acknowledgements; a failed one ends the process
        4. forget the states
        """
        by_partition: dict[int, list[bytes]] = {}
        fences: dict[bytes, int | None] = {}
        for key in self._traces.idle.choose(self._rule, self._clock(), self._may_go(), ROUND):
            by_partition.setdefault(self._traces.partition_of(key), []).append(key)
            fences[key] = self._traces.states.last_offset(key)
        outputs = [
            output for partition, keys in by_partition.items() for output in self._queue_last_words(partition, keys)
        ]
        if outputs:
            await asyncio.wait(outputs)
        for output in outputs:
            if output.cancelled() or output.exception():
                raise BrokenInvariantError(f"an eviction was not acknowledged: {output!r}")
        for key, fence in fences.items():
            if self._traces.states.last_offset(key) not in (None, fence):
                raise BrokenInvariantError(f"an event was folded while its trace was evicted (I15): {key!r}")
            self._traces.forget(key)
        return len(fences)

    def _may_go(self) -> Callable[[bytes], bool]:
        commits = self._commits()
        final_below: dict[int, int] = {}

        def may_go(key: bytes) -> bool:
            partition = self._traces.partition_of(key)
            if partition not in final_below:
                final_below[partition] = commits.final_below(self._topics.events, partition)
            last_offset = self._traces.states.last_offset(key)
            return last_offset is not None and last_offset < final_below[partition]

        return may_go

    def _queue_last_words(self, partition: int, keys: list[bytes]) -> list[Future[Any]]:
        summaries = [summary_record(key, self._traces.states[key]) for key in keys]
        outputs = [
            *self._output().queue(self._topics.summaries, partition, summaries),
            *self._traces.queue_tombstones(partition, keys),
        ]
        self._commits().owe(self._topics.events, partition, outputs)
        return outputs

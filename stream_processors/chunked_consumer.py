"""The consumer side of chunked://: fetch -> Chunk -> agent, and what may be committed of it.

Read it in the order of a worker's life: positions at the start, fetching, the agent's claim and settle, committing,
revocation. Everything else is Faust's own consumer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import Any, cast

from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_processors.chunk import Chunk, ChunkSchema, folded_at_once
from stream_processors.errors import BrokenInvariantError
from stream_processors.fail_stop import FailStop, stop_process
from stream_processors.lease import Lease
from stream_processors.leased_thread import LeasedConsumerThread
from stream_processors.settle_ledger import MAX_UNCOMMITTED, Outputs, SettleLedger
from stream_processors.state_table import StateTable

MAX_BACKLOG = 256  # folded chunks with unacknowledged output, all partitions together
REBALANCE_POLL_S = 0.02
PAUSE_EVERY_S = 1.0
BACKLOG_POLL_S = 0.01


class ChunkedConsumer(driver.Consumer):
    """Faust's consumer, but that topics with a ChunkSchema are delivered and committed by chunk."""

    lease: Lease

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ledgers: dict[TP, SettleLedger] = {}
        self._to_open: dict[TP, int] = {}
        self._next_pause_at = 0.0
        super().__init__(*args, **kwargs)
        self.lease = Lease(self.app.conf.broker_session_timeout)

    def _new_consumer_thread(self) -> LeasedConsumerThread:
        return LeasedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def is_chunked(self, topic: str) -> bool:
        return any(
            isinstance(channel.schema, ChunkSchema)
            for channel in cast("Conductor", self.app.topics)._topic_name_index[topic]
        )

    # Positions at the start

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._forget()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Start each partition exactly where it is committed, or at its log start when it never was (I3)."""
        generation = self.app.consumer_generation_id
        await super().perform_seek()
        chunked = [tp for tp in self.assignment() if self.is_chunked(tp.topic)]
        log_starts = await self.earliest_offsets(*chunked) if chunked else {}
        log_ends = await self.highwaters(*chunked) if chunked else {}
        if generation != self.app.consumer_generation_id:
            return  # the next generation seeks again
        for tp in chunked:
            start = self._committed_offset.get(tp)
            with FailStop():
                start = log_starts[tp] if start is None else start
                _check_committed(tp, start, log_starts[tp], log_ends[tp])
            self._thread.seek(tp, start)
            self._ledgers.setdefault(tp, SettleLedger(start, log_ends[tp])).fetching_from(start)
            self._to_open[tp] = start

    # Fetching

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[Any, Any]:
        """Called by Faust for what to deliver next; {partition: [Chunk]} for chunked topics."""
        await self._wait_for_backlog()
        if self.app.rebalancing:
            # I13: recovery seeks, and only then clears every queue, while the fetcher runs: a chunk would be lost.
            active_partitions = {tp for tp in active_partitions or () if not self.is_chunked(tp.topic)}
            if not active_partitions:  # an empty set would mean all partitions
                await asyncio.sleep(REBALANCE_POLL_S)
                return {}
        elif self._to_open:
            return self._opening_chunks()
        elif monotonic() >= self._next_pause_at:
            return self._pause_chunk(active_partitions or set())
        generation = self.app.consumer_generation_id
        fetched: dict[Any, Any] = dict(await super()._getmany(active_partitions, timeout))
        thread = cast("LeasedConsumerThread", self._thread)
        moves = thread.moves if generation == self.app.consumer_generation_id else {}
        for tp in [tp for tp in {**moves, **fetched} if self.is_chunked(tp.topic)]:
            records = fetched.pop(tp, [])
            if self.app.rebalancing or tp not in self._ledgers:  # Faust ends one of two rebalances at once too early
                self._put_back(tp, records)
            elif chunks := await self._new_chunks(tp, records, moves.get(tp)):
                fetched[tp] = chunks
        return self._recover_in_bulk(fetched)

    async def _wait_for_backlog(self) -> None:
        """I7."""
        while not self.should_stop and self.flow_active:
            for tp in self._ledgers:
                self._new_offset(tp)
            pending = [output for ledger in self._ledgers.values() for output in ledger.pending()]
            if sum(ledger.backlog for ledger in self._ledgers.values()) > MAX_BACKLOG:
                await asyncio.wait(pending, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            elif any(ledger.uncommitted > MAX_UNCOMMITTED for ledger in self._ledgers.values()):
                await self.commit()
                await asyncio.sleep(BACKLOG_POLL_S)
            else:
                return

    def _opening_chunks(self) -> dict[Any, list[Chunk]]:
        """One empty chunk a partition: it lets the agent say where folding stands, before any event comes."""
        starts, self._to_open = self._to_open, {}
        generation = self.app.consumer_generation_id
        return {
            tp: [Chunk(self, tp, (), start=start, end=start, generation=generation)] for tp, start in starts.items()
        }

    def _pause_chunk(self, active_partitions: set[TP]) -> dict[Any, list[Chunk]]:
        """An empty chunk of any one partition; Faust drops it, as read already, while fetched ones wait."""
        self._next_pause_at = monotonic() + PAUSE_EVERY_S
        tp = next((tp for tp in active_partitions if tp in self._ledgers), None)
        if tp is None:
            return {}
        start, generation = self._ledgers[tp].folded_to, self.app.consumer_generation_id
        return {tp: [Chunk(self, tp, (), start=start, end=start, generation=generation, is_pause=True)]}

    def _put_back(self, tp: TP, records: list[Any]) -> None:
        """I13, for a fetch that was under way when the rebalance began. It counts as fetched, so that I3 sees it."""
        if not records:
            return  # markers: whatever comes next begins where they do
        if ledger := self._ledgers.get(tp):
            ledger.fetched(records[0].offset, records[-1].offset)
        self._read_again_from(tp, records[0].offset)

    def _read_again_from(self, tp: TP, offset: int) -> None:
        try:
            self._thread.seek(tp, offset)
        except IllegalStateError as error:
            self.log.info("%r is not assigned any more: %r", tp, error)

    async def _new_chunks(self, tp: TP, records: list[Any], move: tuple[int, int] | None) -> list[Chunk]:
        """The chunks of a fetch that has moved the partition so, if that is known; none when there is nothing to fold.

        A fetch with markers alone makes an empty chunk, so that what is folded and committed passes them, too.
        """
        generation = self.app.consumer_generation_id
        ledger = self._ledgers[tp]
        expected = ledger.fetched_to
        begin, end = move or (expected, records[-1].offset + 1 if records else expected)
        if begin > expected:  # what was fetched in between has not come here
            self._read_again_from(tp, expected)
            return []
        first = records[0].offset if records else end
        if not records and first <= expected:
            return []
        with FailStop():
            start = ledger.fetched(first, end - 1)
        if first > expected:  # transaction markers leave gaps, and so does retention
            log_start = (await self.earliest_offsets(tp))[tp]
            with FailStop():
                _check_committed(tp, expected, log_start, end)
        pieces = folded_at_once(records)
        ends = [*(following[0].offset for following in pieces[1:]), end]
        return [
            Chunk(self, TP(*tp), piece, start=begins, end=ends_at, generation=generation)
            for piece, begins, ends_at in zip(pieces, [start, *ends], ends, strict=False)
        ]

    def _recover_in_bulk(self, fetched: dict[Any, Any]) -> dict[Any, Any]:
        """In recovery, merge changelog records straight into their table; Faust gets the last one, which ends it."""
        recovery = cast("TableManager", self.app.tables).recovery
        for tp in list(fetched):
            table = recovery.tp_to_table.get(tp)
            if not isinstance(table, StateTable) or tp not in recovery.active_tps:
                continue
            if self.flow_active and self.app.in_recovery:
                records = fetched[tp]
                with FailStop():
                    table.merge(records, tp.partition)
                if records[-1].offset < recovery.active_highwaters[tp]:
                    recovery.active_offsets[tp] = records[-1].offset
                    del fetched[tp]
                else:
                    fetched[tp] = records[-1:]
        return fetched

    def on_buffer_full(self, tp: TP) -> None:
        if not self.is_chunked(tp.topic):  # Faust would pause the partition and then sleep 1 s; the full queue blocks
            super().on_buffer_full(tp)

    # The agent

    def claim(self, chunk: Chunk) -> None:
        """The agent is about to fold `chunk`. Raises BrokenInvariantError when it must not."""
        ledger = self._ledgers.get(chunk.tp)
        if ledger is None or chunk.generation != self.app.consumer_generation_id or not self.flow_active:
            raise BrokenInvariantError(f"a chunk of {chunk.tp} from before a rebalance reached the agent (I13)")
        ledger.claim(chunk.start)

    def settle(self, chunk: Chunk, outputs: Outputs) -> None:
        self._ledgers[chunk.tp].settle(chunk.end, outputs)

    def owe(self, topic: str, partition: int, outputs: Outputs) -> None:
        """Outputs of an assigned partition, beside those of its chunks."""
        self._ledgers[TP(topic, partition)].owe(outputs)

    def final_below(self, topic: str, partition: int) -> int:
        """The position below which a trace may be evicted (I14); 0 for a partition that is not assigned."""
        ledger = self._ledgers.get(TP(topic, partition))
        return ledger.final_below if ledger and self.flow_active and not self.app.rebalancing else 0

    # Committing: from the ledgers alone (I5)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        known: Iterable[TP] = {*self._acked, *self._ledgers}
        return (tp for tp in known if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        if not self.is_chunked(tp.topic):
            return super()._new_offset(tp)
        self._acked.pop(tp, None)  # Faust acks a message also when its agent raised
        self._acked_index.pop(tp, None)
        ledger = self._ledgers.get(tp)
        with FailStop():
            return ledger.committable() if ledger else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        ledgers = {tp: self._ledgers.get(tp) for tp in offsets}  # a rebalance during the commit replaces them
        accepted = await super()._commit(offsets)
        for tp, ledger in ledgers.items():
            if accepted and ledger:  # Faust's own record of what is committed is also made when it was refused
                ledger.commit_accepted(offsets[tp])
        return accepted

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.is_chunked(tp.topic):  # to Faust a chunk is one message and a gap before it, free to commit
            await super()._add_gap(tp, offset_from, offset_to)

    # Revocation

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """I6. Faust forgets before it commits; here, still as a member of the old generation:

        1. stop the flow: the agent gets no more chunks
        2. wait for the acknowledgement of everything that was queued
        3. commit (when that fails, the events are read again, and fenced)
        4. forget, then let Faust do the rest
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        pending = [output for ledger in self._ledgers.values() for output in ledger.pending()]
        if pending:
            _, late = await asyncio.wait(pending, timeout=self.app.conf.broker_session_timeout / 2)
            if late:
                stop_process(BrokenInvariantError("output was not acknowledged in time for a rebalance (I6)"))
        try:
            await asyncio.wait_for(self.commit(), self.app.conf.broker_session_timeout / 4)
        except (KafkaError, TimeoutError) as error:
            self.log.warning("no commit before the rebalance: %r", error)
        self._forget()
        await super().on_partitions_revoked(revoked)

    def _forget(self) -> None:
        self._ledgers.clear()
        self._to_open.clear()


def _check_committed(tp: TP, position: int, log_start: int, log_end: int) -> None:
    """Events that retention deleted before they were folded, and a topic that was made anew, are not passed over."""
    if position < log_start:
        raise BrokenInvariantError(
            f"{tp}: the events from {position} to {log_start} were deleted before they were folded. To "
            "accept summaries without them, stop all processors and reset their group to the earliest offset"
        )
    if position > log_end:
        raise BrokenInvariantError(
            f"{tp}: folded up to {position}, but the topic ends at {log_end}: it is not the topic that was folded. "
            "Delete the processor's changelog and its group, run `axonstream init`, and start again"
        )

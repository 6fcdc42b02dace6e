"""The consumer side of chunked://: fetch -> Chunk -> agent, and what may be committed of it.

Read it in the order of a worker's life: positions at the start, fetching, the agent's claim and settle, committing,
revocation. Everything else is Faust's own consumer. `faust_adapter` has the order in which Faust calls this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.lease import Lease
from axonstream.kafka.membership import Membership, StopOrNameTaken
from axonstream.kafka.record_identity import CommitNote
from axonstream.process.fail_stop import FailStop, stop_process
from axonstream.settings.settings import Settings
from axonstream.stream_processors.continuity import LOOK_S, Continuity
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.faust_adapter.bulk_recovery import recovered_in_bulk
from axonstream.stream_processors.faust_adapter.chunk import Chunk, ChunkSchema
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.faust_adapter.fetched_chunks import FetchedChunks
from axonstream.stream_processors.faust_adapter.found_starts import found_in_the_end, found_starts
from axonstream.stream_processors.faust_adapter.leased_thread import LeasedConsumerThread
from axonstream.stream_processors.faust_adapter.trace_table import TraceTable
from axonstream.stream_processors.settle_ledger import MAX_UNCOMMITTED, Outputs, SettleLedger
from axonstream.stream_processors.start_position import Known, Start
from axonstream.stream_processors.state_table import StateTable

MAX_BACKLOG = 256  # folded chunks with unacknowledged output, all partitions together
REBALANCE_POLL_S = 0.02
PAUSE_EVERY_S = 1.0
BACKLOG_POLL_S = 0.01


class ChunkedConsumer(driver.Consumer):
    """Faust's consumer, but that topics with a ChunkSchema are delivered and committed by chunk."""

    lease: Lease

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ledgers: dict[TP, SettleLedger] = {}
        self._to_open: dict[TP, Start] = {}
        self._next_pause_at = 0.0
        self._between_assignments = False
        self._continuity = Continuity(lambda: cast("Any", self.app).topics_to_check)
        self._chunks = FetchedChunks(self, self._continuity)
        super().__init__(*args, **kwargs)
        session_s, name = self.app.conf.broker_session_timeout, self.app.conf.consumer_group_instance_id
        self.lease = Lease(session_s)
        self.membership = Membership(self.lease, session_s, name and f"AXONSTREAM_PROCESSOR_INSTANCE={name}")

    def _new_consumer_thread(self) -> LeasedConsumerThread:
        return LeasedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _leased(self) -> LeasedConsumerThread:
        return cast("LeasedConsumerThread", self._thread)

    def is_chunked(self, topic: str) -> bool:
        return any(
            isinstance(channel.schema, ChunkSchema) for channel in cast("Any", self.app.topics)._topic_name_index[topic]
        )

    # Positions at the start

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Shut out the owner before (I17), then let Faust begin the recovery."""
        self._forget()
        owned = {tp.partition for tp in assigned if tp.topic == self._table.changelog_topic_name}
        with StopOrNameTaken(self.membership):
            await cast("ChunkedProducer", self.app.producer).take_over(self._table.changelog_topic_name, owned)
        await super().on_partitions_assigned(assigned, generation_id)  # which makes the recovery begin
        self._between_assignments = False

    async def perform_seek(self) -> None:
        """Start each partition where `start_of` says (I3, I16), once the states are recovered.

        1. ask Kafka how far the partitions were folded, and whether their logs are still those that were folded;
        2. forget states that cannot be gone on from: their tombstones go before whatever comes next;
        3. seek, and let the first commit count from there, even when it is below what is committed now.

        Raises RebalanceAgain when the partitions are taken away meanwhile: the next recovery seeks again. If this one
        returned instead, it would let the flow go on, and partitions would be folded that are somebody else's.
        """
        generation = self.app.consumer_generation_id
        await super().perform_seek()
        chunked = [tp for tp in self.assignment() if self.is_chunked(tp.topic)]
        found = await self._found_starts(chunked, generation) if chunked else {}
        if not self._assigned_still(generation):
            raise RebalanceAgain
        for tp, (known, start) in found.items():
            reached = known.log_end if start.reached is None else start.reached
            if tp not in self._ledgers:
                self._ledgers[tp] = SettleLedger(start.position, known.log_end, mark=start.mark, reached=reached)
            self._ledgers[tp].fetching_from(start.position)
            if start.forgets:
                with FailStop():
                    forgotten = self._states.forget_misfits(
                        tp.partition, below=start.forget_below, since=start.forget_since, log_start=known.log_start
                    )
                    self._ledgers[tp].owe(forgotten)
                if forgotten:
                    self.log.warning("%r is folded from %s on, without states that do not fit: %r", tp, start, known)
            self._thread.seek(tp, start.position)
            self._committed_offset[tp] = start.position or None
            self._read_offset[tp] = start.position - 1 if start.position else None  # Faust drops what is not above it
            self._to_open[tp] = start

    async def _found_starts(self, chunked: list[TP], generation: int) -> dict[TP, tuple[Known, Start]]:
        committed = self._leased.committed
        settings: Settings = cast("Any", self.app).topics_to_check

        async def find() -> dict[TP, tuple[Known, Start]]:
            self._states.check_readable()
            return await found_starts(settings, chunked, committed, self._states, self)

        return await found_in_the_end(find, lambda: self._assigned_still(generation) and not self.should_stop)

    def _assigned_still(self, generation: int) -> bool:
        return generation == self.app.consumer_generation_id and not self._between_assignments

    def resume_flow(self) -> None:
        """Recovery's word. One of an earlier assignment may be late with it."""
        if not self._between_assignments:
            super().resume_flow()

    @property
    def _states(self) -> StateTable:
        return self._table.state_table

    @property
    def _table(self) -> TraceTable:
        return cast("TraceTable", cast("Any", self.app.tables)["traces"])

    # Fetching

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[Any, Any]:
        """Called by Faust for what to deliver next; {partition: [Chunk]} for chunked topics.

        When the flow was stopped meanwhile, Faust would drop what comes and seek at once: before the states are
        recovered, which say where to begin. So nothing comes before the flow goes on, after recovery's own seek.
        """
        found = await self._next_to_deliver(active_partitions, timeout)
        if self.flow_active:
            return found
        await self.wait(cast("Any", self.can_resume_flow))
        return {}

    async def _next_to_deliver(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[Any, Any]:
        """The steps of a fetch. Each of 2 to 4 may end it:

        1. wait for the backlog: acknowledgements and commits must keep up (I7)
        2. in a rebalance, fetch the changelog alone (I13)
        3. after a seek, open each partition with an empty chunk
        4. once in a while, give the agent an empty chunk
        5. fetch
        6. make chunks of what came, or put it back when a rebalance has begun (I13)
        7. in a recovery, merge the changelog's records into their table
        """
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
        await self._into_chunks(fetched, generation)
        return self._without_recovered(fetched)

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
        starts, self._to_open = self._to_open, {}
        return {tp: [self._chunks.opening(tp, start)] for tp, start in starts.items()}

    def _pause_chunk(self, active_partitions: set[TP]) -> dict[Any, list[Chunk]]:
        """Of any one partition."""
        self._next_pause_at = monotonic() + PAUSE_EVERY_S
        tp = next((tp for tp in active_partitions if tp in self._ledgers), None)
        return {} if tp is None else {tp: [self._chunks.pause(tp, self._ledgers[tp])]}

    async def _into_chunks(self, fetched: dict[Any, Any], generation: int) -> None:
        """Exchange the records of chunked topics for chunks, and put back what must not be delivered now."""
        same = generation == self.app.consumer_generation_id
        moves: Mapping[TP, tuple[int, int]] = self._leased.moves if same else {}
        for tp in [tp for tp in {**moves, **fetched} if self.is_chunked(tp.topic)]:
            records = fetched.pop(tp, [])
            if generation != self.app.consumer_generation_id:
                continue  # a whole rebalance has passed meanwhile, and its recovery sets the positions
            if self.app.rebalancing or tp not in self._ledgers:  # Faust ends one of two rebalances at once too early
                self._chunks.put_back(tp, self._ledgers.get(tp), records)
            elif chunks := await self._chunks.of_records(tp, self._ledgers[tp], records, moves.get(tp), generation):
                fetched[tp] = chunks

    def _without_recovered(self, fetched: dict[Any, Any]) -> dict[Any, Any]:
        if self.flow_active and self.app.in_recovery:
            return recovered_in_bulk(cast("TableManager", self.app.tables).recovery, fetched)
        return fetched

    @property
    def watch(self) -> LeaderWatch:
        return self._leased.watch

    def seek_soon(self, tp: TP, offset: int) -> None:
        """The next fetch begins at `offset`. Raises IllegalStateError when the partition is not assigned any more."""
        self._thread.seek(tp, offset)

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
        self._ledgers[chunk.tp].settle(chunk.end, outputs, chunk.mark)

    def note(self, chunk: Chunk) -> CommitNote:
        return self._ledgers[chunk.tp].note(chunk.end, chunk.mark)

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
        with StopOrNameTaken(self.membership):
            return ledger.committable() if ledger else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        ledgers = {tp: self._ledgers.get(tp) for tp in offsets}  # a rebalance during the commit replaces them
        notes = {tp: ledger.commit_note(offsets[tp]) for tp, ledger in ledgers.items() if ledger}
        self._leased.notes = notes
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
        self._between_assignments = True
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

    @Service.task
    async def _watch_logs(self) -> None:
        """A log may lose its end while nothing is fetched of it."""
        while not self.should_stop:
            await self.sleep(LOOK_S)
            with suppress(KafkaError):
                await self._continuity.look(self._leased.told_ends)

    def _forget(self) -> None:
        """Called twice in each rebalance.

        - When partitions are revoked: from then on no chunk of them is claimed, and nothing of them is committed.
        - When they are assigned, for what came after that. A comparison with the log that was under way (`must_follow`)
          ends after the revocation, and writes down how far its partition was read. And a revocation that raised has
          forgotten nothing: aiokafka logs the error, and assigns all the same.
        """
        self._continuity.forget()
        self._ledgers.clear()
        self._to_open.clear()

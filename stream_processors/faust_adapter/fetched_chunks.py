"""Chunks of what was fetched, and those that hold no record: which one comes next, and what is read again instead."""

from __future__ import annotations

from typing import Any, Protocol

from aiokafka.errors import IllegalStateError
from faust.types import TP, AppT

from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.process.fail_stop import FailStop
from axonstream.stream_processors.continuity import Continuity
from axonstream.stream_processors.faust_adapter.chunk import Chunk, Delivery
from axonstream.stream_processors.settle_ledger import SettleLedger
from axonstream.stream_processors.start_position import Start, check_deleted


class Fetching(Delivery, Protocol):
    """The chunked consumer, as far as its chunks are concerned."""

    app: AppT
    log: Any

    @property
    def watch(self) -> LeaderWatch: ...
    def seek_soon(self, tp: TP, offset: int) -> None: ...
    async def earliest_offsets(self, *partitions: TP) -> Any: ...


class FetchedChunks:
    """Each chunk is of the generation of the group in which it was fetched."""

    def __init__(self, consumer: Fetching, continuity: Continuity) -> None:
        self._consumer = consumer
        self._continuity = continuity

    def opening(self, tp: TP, start: Start) -> Chunk:
        """An empty chunk: it lets the agent say where folding stands, before any event comes."""
        at = start.position
        self._continuity.begins(tp, start.mark, at)
        return Chunk(self._consumer, tp, (), start=at, end=at, generation=self._generation, begins_anew=start.anew)

    def pause(self, tp: TP, ledger: SettleLedger) -> Chunk:
        """An empty chunk; Faust drops it, as read already, while fetched ones wait."""
        at = ledger.folded_to
        return Chunk(self._consumer, tp, (), start=at, end=at, generation=self._generation, is_pause=True)

    def put_back(self, tp: TP, ledger: SettleLedger | None, records: list[Any]) -> None:
        """I13, for a fetch that was under way when the rebalance began. It counts as fetched, so that I3 sees it."""
        if not records:
            return  # markers: whatever comes next begins where they do
        if ledger is not None:
            ledger.fetched(records[0].offset, records[-1].offset)
        self._read_again_from(tp, records[0].offset)

    async def of_records(
        self, tp: TP, ledger: SettleLedger, records: list[Any], move: tuple[int, int] | None, generation: int
    ) -> list[Chunk]:
        """The chunks of a fetch that has moved the partition so, if that is known; none when there is nothing to fold.

        A fetch with markers alone makes an empty chunk, so that what is folded and committed passes them, too.

        1. read again from where the fetch before ended, if this one does not begin there
        2. count the fetch in the ledger; a gap must be one that Kafka explains (I3)
        3. compare with the log, where another leader answers than before
        4. drop all of it, when a whole rebalance has passed meanwhile (I13)
        """
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
            log_start = (await self._consumer.earliest_offsets(tp))[tp]
            with FailStop():
                check_deleted(repr(tp), expected, log_start)
        watch = self._consumer.watch
        await self._continuity.must_follow(tp, records, watch)
        if generation != self._generation:
            return []
        return Chunk.of(
            self._consumer, TP(*tp), records, start=start, end=end, generation=generation, epoch_at=watch.epoch_at
        )

    def _read_again_from(self, tp: TP, offset: int) -> None:
        try:
            self._consumer.seek_soon(tp, offset)
        except IllegalStateError as error:
            self._consumer.log.info("%r is not assigned any more: %r", tp, error)

    @property
    def _generation(self) -> int:
        return self._consumer.app.consumer_generation_id

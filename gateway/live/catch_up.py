"""A stream's way from the position that its reader came with to where the shared reader is: a consumer of its own.

1. wait for a turn: few catch up at once, first come, first served; 2. put the stream's cursor at the end of its feed
and note the offsets that were read up to then: the target; 3. read Kafka from the position up to the target; 4. if
the cursor has not fallen behind meanwhile, the stream goes on at it, with no hole and no double; else again from 2.

Each turn begins to read a little before the position, and so comes by the records that the position names. Where
another record stands there, or none, the log has lost its end: the reader is told (`lost_end`), and goes on at the
first record that may have been appended since the loss.

A reader that is slower than the log grows never joins the feed and costs no memory: it reads Kafka at its own pace.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.gateway.access.concurrency_limits import ConcurrencyLimit
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.frames import event_data, event_frame, gap_frame, position_frame
from axonstream.gateway.live.log import BATCH_RECORDS, is_cancelled, live_consumer, stop_consumer
from axonstream.gateway.live.lost_end import offset_after_loss
from axonstream.gateway.live.places import Places
from axonstream.gateway.live.position import Place, Position, Positions
from axonstream.gateway.live.reader import LiveReader
from axonstream.gateway.live.repeats import Repeats
from axonstream.gateway.live.ring import NO_REPEAT, Cursor
from axonstream.kafka.record_identity import short_digest
from axonstream.kafka.topics import Topics, event_key
from axonstream.process.loop_share import LoopShare
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

LOOK_BACK = 200  # offsets of each partition before the position: what is published again after it is known
CHUNK_BYTES = 32 << 10
_TURN_S = 5.0  # after it whoever waits has a turn
_PATIENCE_S = 1.0  # a reader that takes nothing for so long gives up its turn
_RETRY_S = 0.5
_POLL_MS = 250
_AHEAD_S = 0.05
_END_PATIENCE_S = 5.0  # a broker that has just started may tell an end below what it has acknowledged
_REMEMBERED = 8192


class CatchUps:
    """All that catch up in this gateway: at most `at_once` of them have a consumer, three quarters for one tenant."""

    def __init__(self, settings: Settings, reader: LiveReader, at_once: int, counts: LiveCounts) -> None:
        self.settings = settings
        self.reader = reader
        self.counts = counts
        self.topic = Topics(settings.topic_prefix).events
        self.turns = ConcurrencyLimit(at_once, at_once * 3 // 4 or 1, None, "too many live streams catch up")

    def begin(self, cursor: Cursor, since: Position, *, positions: bool) -> CatchUp:
        """Catch up from `since`, all of whose partitions the reader knows.

        `positions`: between turns, tell the position also where no event has it.
        """
        return CatchUp(self, cursor, since, positions)


class CatchUp:
    """Hands out the frames between `since` and the feed; after the last of them the cursor is where to go on."""

    def __init__(self, shared: CatchUps, cursor: Cursor, since: Position, positions: bool) -> None:
        self._shared = shared
        self._cursor = cursor
        self._positions = positions
        self._wanted = cursor.feed.wanted
        self._key = None if self._wanted.trace_id is None else event_key(self._wanted.trace_id)
        self._form = cursor.feed.form
        self._places = Places(shared.reader.read.mark, since.places, since.newest_ms)
        self._at = {partition: place.next for partition, place in since.places.items()}
        self._unproven: set[int] = set()  # partitions whose last record has not been met in this turn
        self._lost: set[int] = set()  # partitions that had other records than are there now
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._task = asyncio.create_task(self._run())

    async def next(self, wait_s: float) -> bytes | None:
        """What comes next; b"" when nothing has come within `wait_s`; None when the stream has caught up."""
        if not self._chunks.empty():
            return self._chunks.get_nowait()
        if self._task.done():
            self._task.result()
            return None
        taking = asyncio.ensure_future(self._chunks.get())
        await asyncio.wait([taking, self._task], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if taking.done():
            return taking.result()
        taking.cancel()
        return b""

    async def stop(self) -> None:
        """Let go of everything."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (defect := self._task.exception()):
            log.warning("a live stream ended while it caught up: %r", defect)

    async def _run(self) -> None:
        left: bytes | None = b""
        await self._until_not_ahead()
        while left is not None:
            if left:
                await self._chunks.put(left)
            async with self._shared.turns.turn(self._wanted.tenant_id):
                consumer = live_consumer(self._shared.settings)
                try:
                    await consumer.start()
                    left = await self._turn(consumer)
                except (KafkaError, OSError, asyncio.CancelledError) as error:
                    if is_cancelled():
                        raise
                    log.warning("a live stream that catches up waits for Kafka: %r", error)
                    left = b""
                    await asyncio.sleep(_RETRY_S)
                finally:
                    await stop_consumer(consumer)

    async def _turn(self, consumer: AIOKafkaConsumer) -> bytes | None:
        """Read on. What the reader has not taken in time, or the turn's end, ends it; None when the feed was joined."""
        ends_at = monotonic() + _TURN_S
        seen = Repeats(_REMEMBERED)
        reached: Positions = {}  # by the consumer, which begins a little before the stream's position
        self._prove_anew()
        while True:
            if left := await self._leave_what_is_lost(consumer, reached):
                return left
            await self._until_not_ahead()
            target = self._place()
            if left := await self._seek(consumer, target, reached):
                return left
            while not self._lost and any(reached[p] < offset for p, offset in target.items()):
                try:
                    batch = await consumer.getmany(timeout_ms=_POLL_MS, max_records=BATCH_RECORDS)
                except OffsetOutOfRangeError:  # expired meanwhile
                    return b""
                if left := await self._deliver(batch, target, reached, seen):
                    return left
                await self._pass_markers(consumer, target, reached)
                if monotonic() > ends_at and self._shared.turns.contended(self._wanted.tenant_id):
                    return position_frame(self._position()) if self._positions else b""
            if not self._lost and not self._cursor.fell_behind:
                self._cursor.position = self._position()
                return None

    async def _until_not_ahead(self) -> None:
        """Another gateway may have read further than this one; what is beyond the end for long is lost."""
        ask_at = monotonic() + _END_PATIENCE_S
        while ahead := self._ahead():
            if monotonic() > ask_at:
                ends = await self._shared.reader.ends_or_none()
                self._lost.update(p for p in ahead if self._at[p] > ends.get(p, self._at[p]))
                ask_at = monotonic() + _END_PATIENCE_S
            await asyncio.sleep(_AHEAD_S)

    def _ahead(self) -> list[int]:
        offsets = self._shared.reader.read.offsets
        return [p for p, offset in self._at.items() if offset > offsets[p] and p not in self._lost]

    def _prove_anew(self) -> None:
        """A loss came after the time that is held from now on, or shortly before it, whenever it is found."""
        self._places.hold_time()
        self._unproven = {p for p in self._at if self._places.at(p).digest}
        self._prove()

    def _prove(self, *partitions: int) -> None:
        """Of these the last record was met, or nothing is known."""
        self._unproven.difference_update(partitions)
        if not self._unproven:
            self._places.release_time()

    async def _leave_what_is_lost(self, consumer: AIOKafkaConsumer, reached: Positions) -> bytes:
        """Go on at what came since the loss. Returns what could not be told of it."""
        if not self._lost:
            return b""
        newest_ms = self._places.newest_ms
        for number in self._lost:
            partition = TopicPartition(self._shared.topic, number)
            self._at[number] = await offset_after_loss(consumer, partition, self._at[number], newest_ms)
            self._places.put(number, Place(self._at[number]))
            reached.pop(number, None)
        self._prove(*self._lost)
        self._lost.clear()
        self._shared.counts.gaps["lost_end"] += 1
        told = gap_frame("lost_end", self._position())
        if self._positions:
            told += position_frame(self._position())
        return b"" if await self._hand_out(told) else told

    def _place(self) -> Positions:
        """The cursor at the end of its feed, and the offsets below which nothing will come to it."""
        read = self._shared.reader.read
        for partition in read.places(self._wanted):
            if partition not in self._at:  # added since
                self._at[partition] = 0
                self._places.put(partition, Place(0))
        self._cursor.skip_to_end()
        return {p: read.offsets[p] for p in self._at}

    async def _seek(self, consumer: AIOKafkaConsumer, target: Positions, reached: Positions) -> bytes:
        """Put the consumer where it has got to. Returns what could not be told of expired records."""
        gaps = b""
        new = [TopicPartition(self._shared.topic, p) for p in target if p not in reached]
        if new:
            for partition, start in (await consumer.beginning_offsets(new)).items():
                number, place = partition.partition, self._places.at(partition.partition)
                if start > place.offset:
                    self._at[number] = start
                    self._places.put(number, Place(start))
                    self._shared.counts.gaps["expired"] += 1
                    gaps += gap_frame("expired", self._position())
                if place.last < start:  # nobody knows any more what stood there
                    self._prove(number)
                reached[number] = max(start, self._at[number] - LOOK_BACK)
            consumer.assign([TopicPartition(self._shared.topic, p) for p in reached])
        for number, offset in reached.items():
            consumer.seek(TopicPartition(self._shared.topic, number), offset)
        return b"" if await self._hand_out(gaps) else gaps

    async def _deliver(
        self,
        batch: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]],
        target: Positions,
        reached: Positions,
        seen: Repeats,
    ) -> bytes:
        """Hand out what is wanted of a batch; the chunk that was not taken in time, after which nothing was read."""
        chunk = bytearray()
        share = LoopShare()
        for partition, records in batch.items():
            number = partition.partition
            for record in records:
                if share.is_over():
                    await share.give_way()
                if number in self._unproven and not self._may_be(record):
                    self._lost.add(number)
                    break
                reached[number] = min(record.offset + 1, target[number])
                if record.offset >= target[number]:
                    break
                chunk += self._frame(record, seen)
                if len(chunk) >= CHUNK_BYTES:
                    if not await self._hand_out(bytes(chunk)):
                        return bytes(chunk)
                    chunk.clear()
        return b"" if await self._hand_out(bytes(chunk)) else bytes(chunk)

    def _may_be(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        """False when it shows that the last record that was read of its partition is not there any more."""
        place = self._places.at(record.partition)
        if record.offset == place.last and short_digest(cast("Any", record)) == place.digest:
            self._prove(record.partition)
            return True
        return record.offset < place.last

    def _frame(self, record: ConsumerRecord[bytes, bytes], seen: Repeats) -> bytes:
        """The frame of the record where it is wanted, b"" otherwise; the position is behind it then."""
        partition, offset = record.partition, record.offset
        is_new = offset >= self._at[partition]
        if is_new:
            self._at[partition] = offset + 1
            self._places.read(cast("Any", record))
        if self._key is not None and record.key != self._key:
            return b""
        event = validate_record(record.key, record.value)
        if isinstance(event, ValidationFailure) or not self._wanted.matches(event):
            return b""
        if self._shared.reader.delivery.hides(event, record):
            return b""
        event.received_at = record.timestamp
        self._shared.reader.delivery.repeats.remember(event)
        if seen.seen(event, 0) != NO_REPEAT or not is_new:
            return b""
        position = self._position(partition)
        data = event_data(event, self._form.generation, self._shared.reader.delivery.app_of)
        self._shared.counts.events += 1
        return event_frame(position, data)

    async def _pass_markers(self, consumer: AIOKafkaConsumer, target: Positions, reached: Positions) -> None:
        """The markers of transactions are no records: only the consumer knows that it has passed them."""
        for partition, offset in target.items():
            if reached[partition] < offset:
                place = await consumer.position(TopicPartition(self._shared.topic, partition))
                reached[partition] = min(max(reached[partition], place), offset)
            if partition in self._unproven and reached[partition] > self._places.at(partition).last:
                self._lost.add(partition)
            elif partition not in self._lost and reached[partition] > self._at[partition]:
                self._at[partition] = reached[partition]
                self._places.pass_markers(partition, reached[partition])

    async def _hand_out(self, chunk: bytes) -> bool:
        """Whether the reader took it in time."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if chunk:
                    await self._chunks.put(chunk)
        except TimeoutError:
            return False
        return True

    def _position(self, partition: int | None = None) -> bytes:
        """The position after what was read; for a trace, that of its partition or the one given."""
        home = self._shared.reader.read.home(self._wanted) if partition is None else partition
        position = self._places.position(self._form.kind, home)
        return self._shared.reader.delivery.sealed.text(self._wanted.tenant_id, position)

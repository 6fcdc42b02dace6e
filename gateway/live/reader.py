"""The one reader of agent-events for all live streams of this gateway.

It starts with the first stream, at the end of the log, and stops a while after the last one has left. Each record is
read once, judged as fold and sink judge it, and put into the ring for the feeds that want it: its frame is made once
for each form in which somebody wants it. A record is put into the ring and its offset noted in one step, so a stream
that opens finds offsets and ring in step: what is in the log below them is not its, all that comes after is in its
feed.

When Kafka is away the streams stay open, and the reader goes on where it was. Where that is no longer possible they
are told (`gap`), or ended when it is not the same log any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.live.delivery import Delivery
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.frames import AppOf
from axonstream.gateway.live.last_records import read_from_the_end
from axonstream.gateway.live.log import BATCH_RECORDS, ReadSoFar, is_cancelled, live_consumer, stop_consumer
from axonstream.gateway.live.position import Positions, mark_of
from axonstream.gateway.live.ring import Cursor, Feed
from axonstream.gateway.sealed_texts import SealedTexts, sealing_key
from axonstream.kafka.errors import NoTopicError
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.record_identity import RecordMark
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.process.loop_share import LoopShare
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import LostEndError
from axonstream.sinks.positions.log_guard import LogGuard

log = logging.getLogger(__name__)

IDLE_S = 30.0
START_S = 5.0
_RETRY_S = 0.5
_PATIENCE_S = 15.0
_LOOK_S = 5.0  # how often it is looked for added partitions, and whether reading goes on
_POLL_MS = 250


class _OtherLogError(Exception):
    """The topic was made anew, or lost its end: no offset means what it meant."""


class LiveReader:
    """Shared by all streams; `lost` is called when every stream has to end."""

    def __init__(
        self, settings: Settings, lost: Callable[[str], None], app_of: AppOf, deleted: DeletedTraces | None = None
    ) -> None:
        self._settings = settings
        self._topic = Topics(settings.topic_prefix).events
        self._lost = lost
        sealed = SealedTexts(sealing_key(settings, "live positions"))
        self.delivery = Delivery(settings.live_buffer_bytes, sealed, app_of, deleted)
        self.ring = self.delivery.ring
        self.feeds = self.delivery.feeds
        self._read: ReadSoFar | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._idle_check: asyncio.TimerHandle | None = None
        self._stuck = False
        self._in_hand = False  # a batch, which the consumer has passed and the ring has not yet
        self._beyond_end = 0
        self._marks: dict[TopicPartition, RecordMark] = {}  # of the last record that was read, by partition

    @property
    def read(self) -> ReadSoFar:
        """How far it has read; only after `started`."""
        if self._read is None:
            raise UnavailableError("Kafka does not say where the log ends", "Ask again.")
        return self._read

    async def started(self) -> None:
        """Return when it knows where in the log it is. Raises UnavailableError when Kafka does not answer in time."""
        if self._task is not None and self._task.cancelling():
            await asyncio.wait([self._task])  # a stream that began now would end with it
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(START_S):
                await self._ready.wait()
        except TimeoutError:
            raise UnavailableError("Kafka does not say where the log ends", "Ask again.") from None
        finally:
            self._stop_when_idle()

    async def ends(self) -> Positions:
        """The end of every partition, as of now. Raises UnavailableError."""
        partitions = [TopicPartition(self._topic, p) for p in range(len(self.read.offsets))]
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(START_S):
                if self._consumer is not None:
                    ends = await self._consumer.end_offsets(partitions)
                    return {partition.partition: end for partition, end in ends.items()}
        raise UnavailableError("Kafka does not say where the log ends", "Ask again.")

    def open(self, wanted: LiveFilter, generation: ApiVersion, *, resumes: bool) -> Cursor:
        """A stream begins behind all that has been read; call `close` when it ends."""
        feed = self.feeds.open(wanted, generation)
        return Cursor(feed, 0 if resumes else self.ring.number, self.position(feed))

    def close(self, cursor: Cursor) -> None:
        """The stream has ended."""
        if self.feeds.close(cursor.feed):
            self.ring.forget(cursor.feed.wanted.tenant_id)
        if not self.feeds.streams:
            self._stop_when_idle()

    def position(self, feed: Feed) -> bytes:
        """The id from which nothing is missing for a stream that has taken all of its feed."""
        return self.delivery.position(self.read, feed)

    async def stop(self) -> None:
        """End at once; no stream may be open."""
        if self._idle_check is not None:
            self._idle_check.cancel()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _stop_when_idle(self) -> None:
        if self._idle_check is not None:
            self._idle_check.cancel()
        self._idle_check = asyncio.get_running_loop().call_later(IDLE_S, self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        if self._task is not None and not self.feeds.streams:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """However it ended, the next stream starts it anew; a stream that is open now would wait in vain."""
        defect = None if task.cancelled() else task.exception()
        if isinstance(defect, _OtherLogError):
            log.warning("live streams end, and begin again when they are resumed: %s", defect)
        elif defect is not None:
            log.error("the live reader failed", exc_info=defect)
        self._task = self._read = None
        self._marks = {}
        self._ready = asyncio.Event()
        self.ring.clear()
        if self.feeds.streams:
            self._lost("the log cannot be read on")

    async def _run(self) -> None:
        while True:
            consumer = live_consumer(self._settings)
            try:
                await consumer.start()
                watch = LeaderWatch(consumer)
                await self._place(consumer, watch)
                self._consumer = consumer
                self._ready.set()
                await self._follow(consumer, watch)
            except (KafkaError, OSError, NoTopicError, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                log.warning("live streams wait for Kafka: %r", error)
            finally:
                self._consumer = None
                await stop_consumer(consumer)
            await asyncio.sleep(_RETRY_S)

    async def _place(self, consumer: AIOKafkaConsumer, watch: LeaderWatch) -> None:
        """Where it was, or at the end: the last records count as read there, so that their loss is noticed."""
        [identity] = await topic_identities(self._settings, [self._topic])
        self.delivery.topic_id = identity.topic_id
        mark = mark_of(identity.cluster_id, identity.topic_id)
        partitions = len(await consumer._client._wait_on_metadata(self._topic))
        if self._read is None:
            self._read, marks = await read_from_the_end(consumer, watch, self._topic, mark, partitions)
            self._marks.update(marks)
        elif self._read.mark != mark:
            raise _OtherLogError(f"{self._topic} is not the topic that it was")
        self._read.grow(partitions)
        self._assign(consumer)

    def _assign(self, consumer: AIOKafkaConsumer) -> None:
        """All partitions, each where it was read up to; what had been fetched is fetched again."""
        places = {TopicPartition(self._topic, p): offset for p, offset in enumerate(self.read.offsets)}
        consumer.assign(list(places))
        for partition, offset in places.items():
            consumer.seek(partition, offset)

    async def _follow(self, consumer: AIOKafkaConsumer, watch: LeaderWatch) -> None:
        self._stuck = self._in_hand = False
        looking = asyncio.create_task(self._look(consumer))
        guard = LogGuard(self._settings, consumer, watch)
        guard.marks = self._marks
        guarding = asyncio.create_task(guard.watch())
        try:
            while not self._stuck and not looking.done() and not guarding.done():
                self.read.tell_time(every_log_stands=guard.stands)
                try:
                    batch = await consumer.getmany(timeout_ms=_POLL_MS, max_records=BATCH_RECORDS)
                    self._in_hand = bool(batch)
                    await guard.fetched(batch)
                except OffsetOutOfRangeError:
                    await self._skip_what_expired(consumer)
                    continue
                self._grow(consumer)
                if batch:
                    self._beyond_end = 0
                    await self._take(batch)
                    await asyncio.sleep(0)
        except LostEndError as error:
            raise _OtherLogError(str(error)) from error
        finally:
            looking.cancel()
            guarding.cancel()
        for task in (looking, guarding):
            if task.done() and not task.cancelled():
                try:
                    task.result()
                except LostEndError as error:
                    raise _OtherLogError(str(error)) from error

    def _grow(self, consumer: AIOKafkaConsumer) -> None:
        partitions = len(consumer.partitions_for_topic(self._topic) or ())
        if partitions > len(self.read.offsets):
            log.info("%s has %s partitions now", self._topic, partitions)
            self.read.grow(partitions)
            self._assign(consumer)

    async def _take(self, batch: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]) -> None:
        """Put what is wanted into the ring; offsets and ring stay in step, also when others have a turn in between.

        The streams are woken once, after the last piece: each is a write.
        """
        touched: set[Feed] = set()
        try:
            share = LoopShare()
            for record in (record for records in batch.values() for record in records):
                if record.offset >= self.read.offsets[record.partition]:  # else it was fetched before a new assignment
                    self.read.advance(record)
                    touched.update(self.delivery.take(self.read, record))
                if share.is_over():
                    await share.give_way()
        finally:
            self._in_hand = False
            self.read.settle()
            for feed in touched:
                feed.announce()

    async def _skip_what_expired(self, consumer: AIOKafkaConsumer) -> None:
        """Retention was faster than this reader: every stream of the partition is told, and goes on at its start."""
        partitions = [TopicPartition(self._topic, p) for p in range(len(self.read.offsets))]
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            number, start = partition.partition, starts[partition]
            at = self.read.offsets[number]
            if at > ends[partition]:
                # for a while after its start a broker may tell an end below what it has acknowledged
                self._beyond_end += 1
                if self._beyond_end * _RETRY_S < _PATIENCE_S:
                    await asyncio.sleep(_RETRY_S)
                    return
                raise _OtherLogError(f"{partition} ends at {ends[partition]} and was read up to {at}")
            if start > at:
                self.read.skip(number, start)
                consumer.seek(partition, start)
                self.delivery.tell_expired(self.read, number)

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        """Whether reading goes on: a partition that has records and does not move gets a new consumer."""
        before: list[int] = []
        ends_before: Positions = {}
        while True:
            await asyncio.sleep(_LOOK_S)
            for number in range(len(self.read.offsets)):
                # markers of transactions are no records: only the consumer knows that it has passed them
                place = await consumer.position(TopicPartition(self._topic, number))
                if place > self.read.offsets[number] and not self._in_hand:  # else it may be ahead of the ring
                    self.read.pass_markers(number, place)
            ends = await self.ends_or_none()
            now = list(self.read.offsets)
            if any(p < len(before) and now[p] == before[p] < end for p, end in ends_before.items()):
                log.warning("the live reader does not move: it connects again")
                self._stuck = True
            before, ends_before = now, ends

    async def ends_or_none(self) -> Positions:
        """As `ends`; nothing when Kafka does not answer, which is no reason to connect anew."""
        with suppress(UnavailableError):
            return await self.ends()
        return {}

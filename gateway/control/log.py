"""The control topic: one compacted partition that every gateway reads from its start into memory, and then follows.

A write is acknowledged when this gateway has read its own record back, so that whoever wrote sees it, and a gateway
that starts afterwards, too. It carries its entry of the audit log in the same batch. Other gateways read it within
milliseconds. The Schema Registry keeps its data the same way:
https://docs.confluent.io/platform/current/schema-registry/fundamentals/index.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from axonstream.gateway.control.audit_entry import AuditEntry, encode_entry
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.one_batch import BATCH_BYTES, Pair, append_in_batches
from axonstream.gateway.control.records import ControlRecord, Place, encode_record
from axonstream.gateway.control.same_log import SameLog
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.client import kafka_options
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.stopped_consumer import stop_consumer
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

CATCH_UP_S = 1.0
_LOOK_MS = 500
_AGAIN_S = 0.5
_CLOSE_S = 5.0


class Control(Protocol):
    """What the rest of the gateway needs of `ControlLog`."""

    data: ControlData

    @property
    def offset(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def write(self, records: Sequence[ControlRecord], entry: AuditEntry) -> None: ...
    async def note(self, records: Sequence[ControlRecord]) -> None: ...
    async def enter(self, entry: AuditEntry) -> None: ...
    async def forget(self, keys: Sequence[bytes]) -> None: ...
    async def catch_up(self) -> bool: ...
    def state(self) -> str: ...


def not_caught_up() -> UnavailableError:
    """For what is not in `data` when `catch_up` said False."""
    return UnavailableError("whether this exists cannot be read from Kafka now", "Send the request again.")


class ControlLog:
    """Keeps `data` as the topic has it, as long as the task runs that `start` begins."""

    def __init__(self, settings: Settings, data: ControlData) -> None:
        self.data = data
        self._options = kafka_options(settings)
        self._topic = Topics(settings.topic_prefix).control
        self._partition = TopicPartition(self._topic, 0)
        self._timeout_s = settings.publish_timeout_ms / 1000
        self._next = -1  # the offset up to which `data` is true; -1 before the first reading
        self._same_log = SameLog(settings, self._partition)
        self._end = 0
        self._progress = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Return once everything is read that was there when this began. Without Kafka that takes until it is back."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        async with self._progress:
            await self._progress.wait_for(lambda: self.data.loaded)

    async def stop(self) -> None:
        """Let go of the connections."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._close_later(producer.stop())
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_S)

    async def write(self, records: Sequence[ControlRecord], entry: AuditEntry) -> None:
        """Append the records with their entry of the audit log, and return when they were read back.

        A change is never there without its entry: they are one batch, or the entry stands in the first of several.
        Raises UnavailableError when that did not happen in time: they may still come to be.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                last = await self._append([encode_entry(entry), *map(encode_record, records)])
                await self._until(last + 1)
        except asyncio.CancelledError:
            self._renew_producer()
            raise
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("a change of the control data was not acknowledged: %r", error)
            self._renew_producer()
            raise UnavailableError(
                "Kafka did not acknowledge the change in time",
                "Look whether it was made after all, then try again.",
            ) from error

    async def note(self, records: Sequence[ControlRecord]) -> None:
        """Append what changes nothing that the audit log is about, and nobody waits to read."""
        await self._acknowledged([encode_record(record) for record in records])

    async def enter(self, entry: AuditEntry, pairs: Sequence[Pair] = ()) -> None:
        """Append an entry before a change that is made elsewhere, or with the records of one that nobody waits to read.

        `start` need not have been called. Raises UnavailableError: then make no change elsewhere.
        """
        await self._acknowledged([encode_entry(entry), *pairs])

    async def forget(self, keys: Sequence[bytes]) -> None:
        """Delete the records of these keys. Raises UnavailableError."""
        await self._acknowledged([(key, None) for key in keys])

    async def catch_up(self) -> bool:
        """Read what any gateway has had acknowledged before this call; False when that is not done within a second.

        Only after True is something that `data` does not have nowhere.
        """
        consumer = self._consumer
        if consumer is None:
            return False
        try:
            async with asyncio.timeout(CATCH_UP_S):
                ends = await consumer.end_offsets([self._partition])
                await self._until(ends[self._partition])
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    @property
    def offset(self) -> int:
        """The offset of the topic up to which `data` is true; -1 before the first reading."""
        return self._next

    def state(self) -> str:
        """ "ok", or why `data` is not what the topic says."""
        if self._following is not None and self._following.done() and not self._following.cancelled():
            return "reading the control topic has failed; the log of this gateway has the cause"
        return "ok" if self.data.loaded else "the control topic has not been read yet"

    async def _until(self, offset: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: self._next >= offset)

    async def _acknowledged(self, pairs: Sequence[Pair]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._append(pairs)
        except (KafkaError, OSError, TimeoutError) as error:
            self._renew_producer()
            raise UnavailableError(f"Kafka did not acknowledge: {error!r}", "Try again.") from error

    async def _append(self, pairs: Sequence[Pair]) -> int:
        return await append_in_batches(await self._live_producer(), self._topic, pairs)

    async def _live_producer(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                if self._following is None:
                    await self._check_topic()
                producer = AIOKafkaProducer(
                    **self._options, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=BATCH_BYTES
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _renew_producer(self) -> None:
        """A batch that failed leaves a hole in the sequence numbers of an idempotent producer."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._close_later(producer.stop())

    def _close_later(self, closing: Coroutine[Any, Any, None]) -> None:
        async def close() -> None:
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(closing, _CLOSE_S)

        task = asyncio.create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _follow(self) -> None:
        while True:
            try:
                await self._check_topic()
                await self._read()
            except OffsetOutOfRangeError:
                log.warning(
                    "%s is another topic than before, or has lost its end: it is read again from the start", self._topic
                )
                self._next = -1
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("the control topic cannot be read: %r", error)
                await asyncio.sleep(_AGAIN_S)
            except Exception:
                log.exception("reading the control topic has failed")
                raise

    async def _check_topic(self) -> None:
        """Look without asking for it: a broker may make a topic that is asked for, and would not compact it."""
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            if self._topic not in await admin.list_topics():
                raise KafkaError(f"there is no topic {self._topic}: run `axonstream init`")
        finally:
            await admin.close()

    async def _read(self) -> None:
        """From where `data` is true, for ever; what a reading from the start has not met is deleted."""
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False, auto_offset_reset="none")
        try:
            await consumer.start()
            consumer.assign([self._partition])
            watch = LeaderWatch(consumer)
            begins = (await consumer.beginning_offsets([self._partition]))[self._partition]
            ends = (await consumer.end_offsets([self._partition]))[self._partition]
            anew = not begins <= self._next <= ends or not await self._same_log.goes_on()
            seen: set[Place] = set()
            consumer.seek(self._partition, begins if anew else self._next)
            self._consumer = consumer
            if anew:
                self._same_log.forget()
                self.data.audit.clear()
            position = begins if anew else self._next
            while True:
                if anew and position >= ends:
                    anew = False
                    self.data.keep_only(seen)
                    seen.clear()
                if not anew:
                    await self._advance(position)
                batches = await consumer.getmany(self._partition, timeout_ms=_LOOK_MS)
                records = batches.get(self._partition, ())
                fetched_to = records[-1].offset + 1 if records else position
                await self._same_log.check(consumer, watch, position, fetched_to, self._timeout_s)
                for record in records:
                    place = self.data.read(record.key, record.value)
                    if anew and place is not None and record.value is None:
                        seen.discard(place)
                    elif anew and place is not None:
                        seen.add(place)
                if records:
                    self._same_log.read(records[-1])
                position = await consumer.position(self._partition)
        finally:
            self._consumer = None
            await stop_consumer(consumer)

    async def _advance(self, position: int) -> None:
        if position != self._next or not self.data.loaded:
            async with self._progress:
                self._next = position
                self.data.loaded = True
                self._progress.notify_all()

"""Append encoded events to the topic agent-events, and return when Kafka has acknowledged them (guarantee G1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import chain
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from axonstream.contract.event_record import EventRecord
from axonstream.contract.record_validation import MAX_RECORD_BYTES
from axonstream.kafka.client import kafka_options, survive_closed_transports_of
from axonstream.kafka.errors import NotAcknowledgedError, PartitionsChangedError
from axonstream.kafka.topics import Topics
from axonstream.producers.append import Append
from axonstream.producers.append_counts import AppendCounts, Backlog
from axonstream.producers.batcher import LATE_S, Batcher, Waiting
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

BATCH_BYTES = 512 << 10
_BETWEEN_LOOKS_S = 0.05  # an append may end this much after its deadline
_METADATA_MS = 10_000  # partitions that were added are known after it
_NEW_PRODUCER_S = 2.0  # then the next look tries again, perhaps by another broker


def _answer_for_each_partition_in_time(producer: AIOKafkaProducer) -> None:
    """Kafka answers a request when its last partition is replicated, and one connection's requests one after the other.

    So a replica that has just died would hold, until the controller has noticed, every partition whose batch went with
    the same request. After LATE_S the broker answers for each by itself; one that is late is sent again, with the same
    sequence numbers. aiokafka has one setting for this and for how long the connection waits, which stays.
    """
    producer._sender._request_timeout_ms = min(round(LATE_S * 1000), producer._request_timeout_ms)


class EventLog:
    """An idempotent producer with acks=all.

    `append` returns once every record is acknowledged, in order within a trace, or raises NotAcknowledgedError; a
    record that was not acknowledged may be stored all the same. Memory is bounded by what the callers wait for:
    nothing is held for a caller that has been answered, but the one batch that a partition has under way. After an
    error the producer is replaced, because a batch that expired or was refused leaves a hole in its sequence numbers,
    and the broker takes nothing after a hole.

    A partition that takes nothing holds up its own traces alone. Its batch is sent again by aiokafka until it is taken,
    and meanwhile a request to its broker waits for the answer of the one before. So after LATE_S that producer is set
    aside with its late batch, and another one sends everything else. What comes for that partition waits for that
    batch, in order, or ends at its deadline.

    With `partitions`, appends are refused while the topic has another number of them.
    """

    def __init__(self, *, topic: str, timeout_ms: int, kafka: dict[str, Any], partitions: int | None = None) -> None:
        self._topic = topic
        self._partitions = partitions
        self._timeout_ms = timeout_ms
        self._kafka = kafka
        self.counts = AppendCounts()
        self._batcher: Batcher | None = None
        self._batchers: set[Batcher] = set()  # with those whose producer still has something under way
        self._partitions_under_way: set[int] = set()  # by any of them
        self._between: list[Waiting] = []  # taken from a batcher that was retired, until the next one has them
        self._setting_aside = False
        self._renewing = asyncio.Lock()
        self._open: set[Append] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._retired: set[asyncio.Task[None]] = set()

    @classmethod
    def from_settings(cls, settings: Settings, *, of_any_count: bool = False) -> EventLog:
        """The log of the settings. `of_any_count`: however many partitions it has, of which readers need not know."""
        return cls(
            topic=Topics(settings.topic_prefix).events,
            timeout_ms=settings.publish_timeout_ms,
            kafka=kafka_options(settings),
            partitions=None if of_any_count else settings.topic_partitions,
        )

    async def start(self) -> None:
        """Connect. Raises NotAcknowledgedError when no broker answers."""
        await self._live_batcher()

    async def stop(self) -> None:
        """Wait for what is in flight, and close; without Kafka, give up after the time that an append has.

        An idempotent producer sends a batch again until Kafka takes it, so without a limit this could wait for ever.
        """
        if self._open:
            await asyncio.wait([append.ended for append in self._open])  # each ends at its deadline
        if self._batcher is not None:
            batcher, self._batcher = self._batcher, None
            self._in_background(self._close(batcher))
        if self._retired:
            _, late = await asyncio.wait(self._retired, timeout=self._timeout_ms / 1000)
            for closing in late:
                closing.cancel()

    async def append(self, records: Sequence[EventRecord]) -> int | None:
        """Append and wait for the acknowledgement of every record.

        Returns when Kafka took the last of them, in ms since 1970 by its clock: the `received_at` that a single record
        has in every read. None where Kafka does not say (see `batcher`).
        """
        if not records:
            return None
        loop = asyncio.get_running_loop()
        began, ends_at = monotonic(), loop.time() + self._timeout_ms / 1000
        batcher = self._batcher or await self._batcher_until(ends_at)
        append = Append(loop.create_future(), len(records), ends_at)
        self._open.add(append)
        if self._next_look is None:
            self._next_look = loop.call_at(ends_at, self._end_late_appends)
        batcher.add(append, records)
        try:
            await append.ended
        finally:
            self._open.discard(append)
        if append.partitions_changed:
            raise PartitionsChangedError(append.failure)
        if append.failure:
            raise NotAcknowledgedError(append.failure, append)
        self.counts.acknowledgement.add(monotonic() - began)
        return append.at_ms

    def backlog(self) -> Backlog:
        """What is not acknowledged now; takes a look at every event that waits."""
        waiting = chain(self._between, *(batcher.waiting() for batcher in self._batchers))
        sizes = [len(one.value) for one in waiting]
        batches = sum(batcher.batches_under_way for batcher in self._batchers)
        late = sum(len(batcher.late_partitions()) for batcher in self._batchers)
        return Backlog(len(self._open), len(sizes), sum(sizes), batches, late)

    def _end_late_appends(self) -> None:
        """One timer for all appends: one for each would cost more than its record."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [append for append in self._open if append.ends_at <= now]
        for append in late:
            append.fail(self._too_late())
        if late:
            for batcher in self._batchers:
                batcher.forget_ended()
            self._between = [one for one in self._between if not one.append.ended.done()]
        on_time = [append.ends_at for append in self._open if append.ends_at > now]
        self._next_look = None
        if on_time:
            self._next_look = loop.call_at(max(min(on_time), now + _BETWEEN_LOOKS_S), self._end_late_appends)

    def _too_late(self) -> str:
        return f"Kafka did not acknowledge within {self._timeout_ms} ms"

    async def _batcher_until(self, ends_at: float) -> Batcher:
        try:
            async with asyncio.timeout_at(ends_at):
                return await self._live_batcher()
        except TimeoutError:
            raise NotAcknowledgedError(self._too_late()) from None

    async def _live_batcher(self) -> Batcher:
        if self._batcher is not None:
            return self._batcher
        async with self._renewing:
            if self._batcher is None:
                self._batcher = await self._new_batcher()
            return self._batcher

    async def _new_batcher(self) -> Batcher:
        producer = AIOKafkaProducer(
            **self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES + (64 << 10),
            request_timeout_ms=self._timeout_ms,
            linger_ms=0,
            metadata_max_age_ms=_METADATA_MS,
        )
        _answer_for_each_partition_in_time(producer)
        survive_closed_transports_of(producer.client)
        try:
            await producer.start()
            await producer.partitions_for(self._topic)
        except KafkaError as error:
            await producer.stop()
            raise NotAcknowledgedError(f"no Kafka broker answers: {error!r}") from error
        except asyncio.CancelledError:
            await producer.stop()
            raise
        batcher = Batcher(
            producer,
            self._topic,
            self.counts,
            self._partitions_under_way,
            partitions=self._partitions,
            on_error=self._retire,
            on_late=self._go_round,
            on_freed=self._freed,
        )
        self._batchers.add(batcher)
        return batcher

    def _go_round(self, batcher: Batcher) -> None:
        if batcher is self._batcher and not self._setting_aside:
            self._setting_aside = True
            self._in_background(self._set_aside(batcher))

    async def _set_aside(self, batcher: Batcher) -> None:
        """Another producer first: while no broker answers one, there is nothing to go round."""
        try:
            async with asyncio.timeout(_NEW_PRODUCER_S):
                fresh = await self._new_batcher()
        except (NotAcknowledgedError, TimeoutError):
            return
        finally:
            self._setting_aside = False
        late = batcher.late_partitions()
        if batcher is not self._batcher or not late:
            await self._close(fresh)
            return
        self._batcher = fresh
        self.counts.producers_set_aside += 1
        log.warning(
            "Kafka has not acknowledged a batch for %s s, of partitions %s of %s: their traces wait, all others go on",
            LATE_S,
            ", ".join(map(str, late)),
            self._topic,
        )
        self._put_away(batcher)

    def _freed(self) -> None:
        if self._batcher is not None:
            self._batcher.go_on()

    def _retire(self, batcher: Batcher) -> None:
        """The next append makes a new producer; this one finishes what is under way, and the rest moves on."""
        if self._batcher is not batcher:
            return
        self.counts.replaced_producers += 1
        self._batcher = None
        log.warning("the Kafka producer failed and is replaced")
        self._put_away(batcher)

    def _put_away(self, batcher: Batcher) -> None:
        """What waits there moves on; what is under way is waited for."""
        self._between += batcher.retire()
        self._in_background(self._move_on())
        self._in_background(self._close(batcher))

    async def _move_on(self) -> None:
        if not self._between:
            return
        failure, batcher = "", None
        try:
            batcher = await self._live_batcher()
        except NotAcknowledgedError as error:
            failure = str(error)
        waiting, self._between = self._between, []
        if batcher is not None:
            batcher.resume(waiting)
        else:
            for one in waiting:
                one.append.fail(failure)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _close(self, batcher: Batcher) -> None:
        with suppress(KafkaError):  # every append on it has had its own error already
            await batcher.producer.stop()
        self._batchers.discard(batcher)

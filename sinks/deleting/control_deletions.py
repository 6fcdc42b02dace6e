"""The deletions as the control topic has them, followed by the sink for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import CONTROL_KEYS, DELETION_FORM, Deletion
from axonstream.kafka.client import kafka_options
from axonstream.kafka.leader_watch import leader_connection
from axonstream.kafka.stopped_consumer import stop_consumer
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

_LOOK_MS = 500
_PATIENT_MS = 5_000  # a fetch that finds nothing waits so long at the broker; a record is answered at once
_AGAIN_S = 0.5


class ControlDeletions:
    """`deleted` is what the topic says; nothing may be stored before `loaded`: it could be deleted already."""

    def __init__(self, settings: Settings) -> None:
        self.deleted = DeletedTraces()
        self.recorded: dict[int, tuple[str, Deletion]] = {}  # with their tenants; markers alone are not among them
        self._options = kafka_options(settings)
        self._partition = TopicPartition(Topics(settings.topic_prefix).control, 0)
        self._loaded = asyncio.Event()

    async def loaded(self) -> None:
        """Return when everything was read that was there at the start."""
        await self._loaded.wait()

    async def run(self) -> None:
        """Until it is cancelled. Without Kafka it reads on later."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("the deletions cannot be read from the control topic, trying again: %r", error)
                await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """From the start of the topic, each time: it is small, and reading it again changes nothing.

        Returns when another leader answers, or another life of it: the log may have lost its end, and have grown over
        what was read.
        """
        consumer = AIOKafkaConsumer(
            **self._options, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=_PATIENT_MS
        )
        try:
            await consumer.start()
            consumer.assign([self._partition])
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            await consumer.seek_to_beginning(self._partition)
            leader: object | None = None
            while True:
                if await consumer.position(self._partition) >= end:
                    self._loaded.set()
                batches = await consumer.getmany(self._partition, timeout_ms=_LOOK_MS)
                for record in batches.get(self._partition, ()):
                    self.read(record.key, record.value)
                answering = leader_connection(consumer, self._partition)
                if leader is not None and answering is not None and answering is not leader:
                    return
                leader = answering or leader
        finally:
            await stop_consumer(consumer)

    def read(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record of the topic; one of another kind is passed over, one that is not readable is logged."""
        if key is None or not key.startswith(CONTROL_KEYS):
            return
        tenant_id, _, number = key.removeprefix(CONTROL_KEYS).decode(errors="replace").rpartition("/")
        if not tenant_id or not number.isdecimal():
            return
        if value is None:
            self.deleted.drop(tenant_id, int(number))
            self.recorded.pop(int(number), None)
            return
        try:
            deletion = DELETION_FORM.validate_json(value)
            self.deleted.put(tenant_id, deletion)
            self.recorded[deletion.id] = (tenant_id, deletion)
            for number in [number for number in (deletion.id, deletion.repeats) if self.deleted.is_repeated(number)]:
                self.recorded.pop(number, None)
        except ValidationError:
            log.exception("a deletion of the control topic is not readable, and not done: %r", key)


@asynccontextmanager
async def following(settings: Settings) -> AsyncGenerator[ControlDeletions]:
    """For a command: loaded, and followed for as long as the block runs."""
    deletions = ControlDeletions(settings)
    task = asyncio.create_task(deletions.run())
    try:
        await deletions.loaded()
        yield deletions
    finally:
        task.cancel()
        await asyncio.wait([task])

"""The markers of a deletion: one on every partition of agent-events, wherever its traces are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from axonstream.contract.deletion import MARKER_KEY, Deletion, marker_value, read_marker
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NoTopicError
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

_LOOK_MS = 500


class Markers(Protocol):
    """What is needed of `LogMarkers`."""

    async def append(self, tenant_id: str, deletion: Deletion) -> Deletion: ...
    async def lost(self, deletions: Sequence[Deletion]) -> set[int]: ...


class LogMarkers:
    """A producer for each deletion: they are rare, and none waits behind events."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics(settings.topic_prefix).events

    async def append(self, tenant_id: str, deletion: Deletion) -> Deletion:
        """The deletion with its bounds, once every marker is acknowledged.

        Raises UnavailableError when they are not in time: some may stand in the log all the same, which is harmless.
        """
        producer = AIOKafkaProducer(**kafka_options(self._settings), acks="all", enable_idempotence=True, linger_ms=0)
        try:
            async with asyncio.timeout(self._settings.publish_timeout_ms / 1000):
                [identity] = await topic_identities(self._settings, [self._topic])
                await producer.start()
                partitions = sorted(await producer.partitions_for(self._topic))
                value = marker_value(tenant_id, deletion)
                sent = [
                    await producer.send(self._topic, value, key=MARKER_KEY, partition=number) for number in partitions
                ]
                acknowledged: list[Any] = await asyncio.gather(*sent)
        except (KafkaError, NoTopicError, OSError, TimeoutError) as error:
            raise UnavailableError(
                f"Kafka did not acknowledge the deletion in time: {error!r}",
                "It goes on by itself when Kafka is back; asking again is harmless.",
            ) from error
        finally:
            await _closed(producer)
        bounds = [0] * (partitions[-1] + 1)
        for record in acknowledged:
            bounds[record.partition] = record.offset
        return replace(deletion, topic_id=identity.topic_id, bounds=tuple(bounds))

    async def lost(self, deletions: Sequence[Deletion]) -> set[int]:
        """The ids of those of which Kafka has lost a marker that it had acknowledged: a power cut, an unclean election.

        A log loses its end, so of each partition the highest marker is looked at, and the next one below it only when
        that is gone. What retention took is not lost. Raises UnavailableError.
        """
        consumer = AIOKafkaConsumer(**kafka_options(self._settings), enable_auto_commit=False, auto_offset_reset="none")
        try:
            async with asyncio.timeout(self._settings.publish_timeout_ms / 1000):
                [identity] = await topic_identities(self._settings, [self._topic])
                own = [deletion for deletion in deletions if deletion.topic_id == identity.topic_id]
                if not own:
                    return set()
                await consumer.start()
                looks = [self._lost_of(consumer, p, own) for p in range(max(len(one.bounds) for one in own))]
                return {number for look in looks for number in await look}
        except (KafkaError, NoTopicError, OSError, TimeoutError) as error:
            raise UnavailableError(
                f"whether the markers of deletions still stand cannot be read: {error!r}", "It is looked at again."
            ) from error
        finally:
            await consumer.stop()

    async def _lost_of(self, consumer: AIOKafkaConsumer, number: int, deletions: Sequence[Deletion]) -> list[int]:
        partition = TopicPartition(self._topic, number)
        consumer.assign([partition])
        begin = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        marked = [one for one in deletions if number < len(one.bounds) and one.bounds[number] >= begin]
        lost: list[int] = []
        for deletion in sorted(marked, key=lambda one: one.bounds[number], reverse=True):
            offset = deletion.bounds[number]
            if offset < end and await _stands(consumer, partition, offset, deletion.id):
                break
            lost.append(deletion.id)
        return lost


async def _stands(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, number: int) -> bool:
    """Whether the record at this offset, which the log has, is the marker of the deletion `number`."""
    consumer.seek(partition, offset)
    while await consumer.position(partition) == offset:
        batches = await consumer.getmany(partition, timeout_ms=_LOOK_MS, max_records=1)
        for record in batches.get(partition, ()):
            marker = read_marker(record.key, record.value)
            return record.offset == offset and marker is not None and marker.deletion.id == number
    return False  # transactions were there


async def _closed(producer: AIOKafkaProducer) -> None:
    """An idempotent producer sends again until Kafka takes it: what is not acknowledged by now is given up."""
    closing = asyncio.ensure_future(producer.stop())
    _, late = await asyncio.wait([closing], timeout=1.0)
    for one in late:
        one.cancel()

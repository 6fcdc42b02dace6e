"""Appending the markers of a deletion: one on every partition of agent-events, wherever its traces are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from gateway.errors import UnavailableError
from producers.deletion import MARKER_KEY, Deletion, marker_value
from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics
from sinks.errors import EpochError
from sinks.topic_identity import topic_identities


class Markers(Protocol):
    """What is needed of `LogMarkers`."""

    async def append(self, tenant_id: str, deletion: Deletion) -> Deletion: ...


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
        except (KafkaError, EpochError, OSError, TimeoutError) as error:
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


async def _closed(producer: AIOKafkaProducer) -> None:
    """An idempotent producer sends again until Kafka takes it: what is not acknowledged by now is given up."""
    closing = asyncio.ensure_future(producer.stop())
    _, late = await asyncio.wait([closing], timeout=1.0)
    for one in late:
        one.cancel()

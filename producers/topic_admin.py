"""Make the topics once, and check what exists: idempotent, and never a change in place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from producers.errors import TopicMismatchError
from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics
from producers.verdict import MAX_RECORD_BYTES

_HOUR_MS = 3_600_000
_PROPAGATION_S = 10.0
_COPIES_ACKNOWLEDGED = 2
_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}
# A gateway reads all of it when it starts, so what is outdated goes early: the newest segment is never compacted.
# The broker takes compression off: no gateway would read on after one record in a codec that its aiokafka lacks.
_CONTROL = {
    "cleanup.policy": "compact",
    "compression.type": "uncompressed",
    "segment.bytes": str(16 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    partitions: int
    configs: dict[str, str]


def _wanted(settings: Settings) -> list[_Wanted]:
    """With three replicas or more an acknowledgement means two copies, and publishing goes on while one broker is away.

    With fewer, the brokers' own min.insync.replicas stays: two of two would refuse publishes while a broker is away.
    """
    topics, partitions = Topics(settings.topic_prefix), settings.topic_partitions
    retention = str(settings.topic_retention_hours * _HOUR_MS)
    every = {"max.message.bytes": str(MAX_RECORD_BYTES + (64 << 10))}
    if settings.topic_replication_factor > _COPIES_ACKNOWLEDGED:
        every["min.insync.replicas"] = str(_COPIES_ACKNOWLEDGED)
    if settings.kafka_flush_messages:
        every["flush.messages"] = str(settings.kafka_flush_messages)
    return [
        # By the broker's clock: by that of a sender who is a week late, retention would delete what nobody has read.
        _Wanted(topics.events, partitions, every | {"retention.ms": retention, **_BROKERS_CLOCK}),
        _Wanted(topics.summaries, partitions, every | {"retention.ms": retention}),
        _Wanted(topics.changelog, partitions, every | {"cleanup.policy": "compact"}),
        # A dead letter holds the refused bytes as base64, so its limit is above that of what it quotes.
        _Wanted(
            topics.dead_letters, 1, every | {"retention.ms": retention, "max.message.bytes": str(4 * MAX_RECORD_BYTES)}
        ),
        _Wanted(topics.control, 1, every | _CONTROL),
    ]


async def make_topics(settings: Settings) -> None:
    """Create what is missing, then check that the partition counts are those of the settings.

    Raises TopicMismatchError when an existing topic differs; KafkaError when the broker does not answer.
    """
    wanted = _wanted(settings)
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            await _create(admin, missing, settings.topic_replication_factor)
        counts = await _partition_counts(admin, [topic.name for topic in wanted])
        await _check_compacted(admin, Topics(settings.topic_prefix).control)
    finally:
        await admin.close()
    for topic in wanted:
        if counts.get(topic.name) != topic.partitions:
            raise TopicMismatchError(
                f"topic {topic.name} has {counts.get(topic.name, 0)} partitions, the settings say {topic.partitions}: "
                "partition counts do not change in place. Set AXONSTREAM_TOPIC_PARTITIONS to the count that exists, "
                "or use a new AXONSTREAM_TOPIC_PREFIX"
            )


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """By topic. A topic that was made a moment ago is not known to every broker yet, so ask until all are."""
    deadline = monotonic() + _PROPAGATION_S
    while True:
        described = await admin.describe_topics(names)
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["partitions"]}
        if len(counts) == len(names) or monotonic() > deadline:
            return counts
        await asyncio.sleep(0.05)


async def _check_compacted(admin: AIOKafkaAdminClient, name: str) -> None:
    """A control topic that a broker made by itself, or that was made by hand, would lose keys and channels in time."""
    asked = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": ""})
    answer: Any
    [answer] = await admin.describe_configs([asked])
    policies = [entry[1] for resource in answer.resources for entry in resource[4] if entry[0] == "cleanup.policy"]
    if policies and policies != ["compact"]:
        raise TopicMismatchError(
            f"topic {name} has cleanup.policy={policies[0]}, so that keys and channels would be deleted with time: "
            "set its cleanup.policy to compact"
        )


async def _create(admin: AIOKafkaAdminClient, missing: list[_Wanted], replication: int) -> None:
    answer: Any = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.configs) for topic in missing]
    )
    for name, code, *_ in answer.topic_errors:
        error: type[KafkaError] = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"cannot create topic {name}")

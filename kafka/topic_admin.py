"""Make the topics, and bring those that exist up to date: idempotent.

Partitions are added only when that is asked for. Of the configs, an existing topic gets what keeping time and a short
restart need (`_Wanted.kept_up`), and what a setting decides (`_Wanted.as_set`); whatever else somebody has set stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from axonstream.contract.record_validation import MAX_RECORD_BYTES
from axonstream.kafka.added_partitions import add_partitions
from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import TopicMismatchError
from axonstream.kafka.topic_configs import ConfigNotChangedError, TopicConfig, change_configs, read_configs
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

_HOUR_MS = 3_600_000
_PROPAGATION_S = 10.0
_COPIES_ACKNOWLEDGED = 2
# Every record has the time of the broker. By that of a sender, retention would delete what nobody has read when he is
# a week late, and Kafka refuses whatever is an hour ahead: a worker with such a clock could write nothing.
_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}
# A processor reads all of its changelog when it starts. What is outdated goes early, because the newest segment is
# never compacted; tombstones only have to outlast one recovery.
_CHANGELOG = {
    "segment.bytes": str(16 << 20),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(_HOUR_MS // 4),
}
# A gateway reads all of it when it starts, so what is outdated goes early: the newest segment is never compacted.
# The broker takes compression off: no gateway would read on after one record in a codec that its aiokafka lacks.
_CONTROL = {
    "cleanup.policy": "compact",
    "compression.type": "uncompressed",
    "segment.bytes": str(16 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


# Records are few, and some are the only trace of what was promised: a key revoked, a deletion. So each is on the disk
# before it is acknowledged, whatever the setting for events says.
_FLUSHED = {"flush.messages": "1"}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """`kept_up` are configs that a topic gets also when it exists, where nobody has set them on it.

    `as_set` are those that a setting decides, whatever the topic has; None stands for what the brokers have.
    """

    name: str
    partitions: int
    configs: Mapping[str, str]
    kept_up: Mapping[str, str] = field(default_factory=dict[str, str])
    as_set: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])

    @property
    def all_configs(self) -> dict[str, str]:
        as_set = {name: value for name, value in self.as_set.items() if value is not None}
        return {**_BROKERS_CLOCK, **self.kept_up, **self.configs, **as_set}

    def changes(self, found: Mapping[str, TopicConfig]) -> dict[str, str | None]:
        """What a topic that exists with the configs `found` must get."""
        changes: dict[str, str | None] = {
            name: value for name, value in _BROKERS_CLOCK.items() if name in found and found[name].value != value
        }
        changes |= {name: value for name, value in self.kept_up.items() if name in found and not found[name].is_own}
        for name, value in self.as_set.items():
            own = found[name].value if name in found and found[name].is_own else None
            if own != value:
                changes[name] = value
        return changes


def _wanted(settings: Settings) -> list[_Wanted]:
    """With three replicas or more an acknowledgement means two copies, and publishing goes on while one broker is away.

    With fewer, the brokers' own min.insync.replicas stays: two of two would refuse publishes while a broker is away.
    """
    topics, partitions = Topics(settings.topic_prefix), settings.topic_partitions
    retention = str(settings.topic_retention_hours * _HOUR_MS)
    every = {"max.message.bytes": str(MAX_RECORD_BYTES + (64 << 10))}
    if settings.topic_replication_factor > _COPIES_ACKNOWLEDGED:
        every["min.insync.replicas"] = str(_COPIES_ACKNOWLEDGED)
    flush = _flush(settings)
    return [
        _Wanted(topics.events, partitions, every | {"retention.ms": retention}, as_set=flush),
        _Wanted(topics.summaries, partitions, every | {"retention.ms": retention}, as_set=flush),
        _Wanted(topics.changelog, partitions, every | {"cleanup.policy": "compact"}, _CHANGELOG, flush),
        # A dead letter holds the refused bytes as base64, so its limit is above that of what it quotes.
        _Wanted(
            topics.dead_letters,
            1,
            every | {"retention.ms": retention, "max.message.bytes": str(4 * MAX_RECORD_BYTES)},
            as_set=flush,
        ),
        _Wanted(topics.control, 1, every | _CONTROL, as_set=_FLUSHED),
    ]


def _flush(settings: Settings) -> dict[str, str | None]:
    """0 puts a topic back to what the brokers do. Not set, what a person has set on it stays."""
    if settings.kafka_flush_messages is None:
        return {}
    return {"flush.messages": str(settings.kafka_flush_messages) if settings.kafka_flush_messages else None}


async def make_topics(settings: Settings, *, add: bool = False) -> None:
    """Create what is missing, give what exists the configs of this version, and check the partition counts.

    With `add`, topics get as many partitions as the settings say.

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
        topics, names = Topics(settings.topic_prefix), [topic.name for topic in wanted]
        counts = await _partition_counts(admin, names)
        await add_partitions(admin, topics, counts, settings.topic_partitions, asked_for=add)
        counts = await _partition_counts(admin, names, {topic.name: topic.partitions for topic in wanted})
        await _check_compacted(admin, topics.control)
        await _bring_up_to_date(admin, [topic for topic in wanted if topic.name in existing])
    finally:
        await admin.close()
    for topic in wanted:
        if counts.get(topic.name) != topic.partitions:
            raise TopicMismatchError(
                f"topic {topic.name} has {counts.get(topic.name, 0)} partitions and must have {topic.partitions}: "
                "use a new AXONSTREAM_TOPIC_PREFIX"
            )


async def partitions_of_the_pipeline(settings: Settings) -> dict[str, int]:
    """By topic, of those of events, summaries and changelog that exist: they must have the same."""
    topics = Topics(settings.topic_prefix)
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        existing = {topics.events, topics.summaries, topics.changelog} & set(await admin.list_topics())
        return await _partition_counts(admin, sorted(existing)) if existing else {}
    finally:
        await admin.close()


async def _partition_counts(
    admin: AIOKafkaAdminClient, names: list[str], expected: Mapping[str, int] | None = None
) -> dict[str, int]:
    """By topic. What was made a moment ago is not known to every broker yet, so ask until all is, as `expected`."""
    deadline = monotonic() + _PROPAGATION_S
    while True:
        described = await admin.describe_topics(names)
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["partitions"]}
        if (len(counts) == len(names) and expected in (None, counts)) or monotonic() > deadline:
            return counts
        await asyncio.sleep(0.05)


async def _check_compacted(admin: AIOKafkaAdminClient, name: str) -> None:
    """A control topic that a broker made by itself, or that was made by hand, would lose keys and channels in time."""
    policy = (await read_configs(admin, name, ["cleanup.policy"])).get("cleanup.policy")
    if policy and policy.value != "compact":
        raise TopicMismatchError(
            f"topic {name} has cleanup.policy={policy.value}, so that keys and channels would be deleted with time: "
            "set its cleanup.policy to compact"
        )


async def _bring_up_to_date(admin: AIOKafkaAdminClient, topics: Iterable[_Wanted]) -> None:
    """Raises TopicMismatchError, which names all that the broker does not allow."""
    refused: list[str] = []
    answer: ConfigNotChangedError | None = None
    for topic in topics:
        names = [*_BROKERS_CLOCK, *topic.kept_up, *topic.as_set]
        if changes := topic.changes(await read_configs(admin, topic.name, names)):
            try:
                await change_configs(admin, topic.name, changes)
            except ConfigNotChangedError as error:
                wanted = (name + (f"={value}" if value else " as the brokers") for name, value in changes.items())
                refused.append(f"{topic.name} must have {', '.join(wanted)}")
                answer = error
    if refused:
        raise TopicMismatchError(
            f"{'; '.join(refused)}. Kafka does not let this client change them ({answer}): allow it AlterConfigs of "
            "the topics, or allow it DescribeConfigs and set them yourself, then run `axonstream init` again"
        ) from answer


async def _create(admin: AIOKafkaAdminClient, missing: list[_Wanted], replication: int) -> None:
    answer: Any = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.all_configs) for topic in missing]
    )
    for name, code, *_ in answer.topic_errors:
        error: type[KafkaError] = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"cannot create topic {name}")

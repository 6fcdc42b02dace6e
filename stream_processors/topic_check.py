"""I12, at the start: the topics exist and have the same partition count."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors.errors import TopicsNotReadyError


async def check_topics(settings: Settings) -> int:
    """The partition count of events, summaries and changelog. Raises TopicsNotReadyError when there is no such one."""
    topics = Topics(settings.topic_prefix)
    needed = (topics.events, topics.summaries, topics.changelog)
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        existing = set(await admin.list_topics())  # asking for one that is missing could make it
        described = await admin.describe_topics([topic for topic in needed if topic in existing])
    except KafkaConnectionError as error:
        raise TopicsNotReadyError(f"no Kafka at {settings.kafka_bootstrap_servers}: {error}") from error
    finally:
        await admin.close()
    if missing := [topic for topic in needed if topic not in existing]:
        raise TopicsNotReadyError(f"missing on Kafka: {', '.join(missing)}; run `axonstream init`")
    counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise TopicsNotReadyError(
            f"these topics must have the same partition count, but {found}; {_mending(counts, topics.events)}"
        )
    return counts[topics.events]


def _mending(counts: Mapping[str, int], events: str) -> str:
    """What makes the counts equal. Plain `init` never adds partitions to the events, and Kafka takes none away."""
    most = max(counts.values())
    if counts[events] == most:
        return f"set AXONSTREAM_TOPIC_PARTITIONS={most} and run `axonstream init`, which adds what the others lack"
    return f"set AXONSTREAM_TOPIC_PARTITIONS={most} and run `axonstream init --add-partitions`, which adds the others"

"""Partitions that are added to a topic that exists: only when somebody asked for it, because none can be taken away.

A trace goes on in the partition that its id has among all of them, so many traces move: their events from then on make
another segment, in another partition. docs/partitions.md has what that means, and the order of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from axonstream.kafka.errors import TopicMismatchError
from axonstream.kafka.topics import Topics


def how_to_follow(count: int) -> str:
    """For a process that was told another count of agent-events than the topic has.

    The processors are stopped because they look for new partitions every few minutes only, and the sinks because
    `init` commits where they begin.
    """
    return (
        f"stop processors and sinks, set AXONSTREAM_TOPIC_PARTITIONS={count}, run `axonstream init` (`axonstream up` "
        "does it by itself), and start everything again (docs/partitions.md)"
    )


async def add_partitions(
    admin: AIOKafkaAdminClient, topics: Topics, counts: Mapping[str, int], wanted: int, *, asked_for: bool
) -> None:
    """The topics of events, summaries and changelog have `wanted` partitions; `counts` is what they have now.

    The events come last: what is folded and stored of a partition must have its place before the first event does. So
    once they have all of them, whoever made these has asked for the others.

    Raises TopicMismatchError when there are more already, or it was not asked for.
    """
    asked_for = asked_for or counts.get(topics.events) == wanted
    for topic in (topics.changelog, topics.summaries, topics.events):
        count = counts.get(topic, wanted)
        if count == wanted:
            continue
        if count < wanted and asked_for:
            await admin.create_partitions({topic: NewPartitions(wanted)})
            continue
        add = "`axonstream init --add-partitions` adds the others (docs/partitions.md). " if count < wanted else ""
        raise TopicMismatchError(
            f"topic {topic} has {count} partitions, the settings say {wanted}: {add}Set AXONSTREAM_TOPIC_PARTITIONS to "
            "the count that exists, or use a new AXONSTREAM_TOPIC_PREFIX"
        )

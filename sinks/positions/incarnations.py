"""An epoch: one incarnation of the topics on one Kafka cluster. Offsets mean something only within it.

`axonstream init` makes the first epoch; every stored row carries its number. The sink goes on only while Kafka is the
one that the newest epoch names, because the offsets of another topic would be taken for rows that are stored already.
"""

from __future__ import annotations

from collections.abc import Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.topic_identity import TopicIdentity, topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EpochError


async def current_epoch(settings: Settings, client: AsyncClient) -> int:
    """The epoch to stamp on rows. Raises EpochError when Kafka is not that of the newest epoch, or there is none."""
    names = pipeline_topics(settings)
    identities = await topic_identities(settings, names)
    epoch, recorded = await newest_epoch(client, names)
    if not epoch:
        raise EpochError("ClickHouse knows no epoch of the topics: run `axonstream init` first")
    if recorded != identities:
        raise EpochError(difference(epoch, recorded, identities))
    return epoch


def pipeline_topics(settings: Settings) -> list[str]:
    """Those whose offsets the rows carry."""
    topics = Topics(settings.topic_prefix)
    return [topics.events, topics.summaries]


async def newest_epoch(client: AsyncClient, topics: Sequence[str]) -> tuple[int, list[TopicIdentity]]:
    """The newest epoch of these topics and what they were in it; 0 and nothing before `axonstream init`."""
    rows = (
        await client.query(
            "SELECT epoch, cluster_id, topic, topic_id FROM topic_epochs FINAL "
            "WHERE has({topics:Array(String)}, topic) ORDER BY epoch DESC",
            parameters={"topics": list(topics)},
        )
    ).result_rows
    if not rows:
        return 0, []
    newest: int = rows[0][0]
    found = {row[2]: TopicIdentity(row[1], row[2], row[3]) for row in rows if row[0] == newest}
    return newest, [found[topic] for topic in topics if topic in found]


def difference(epoch: int, recorded: Sequence[TopicIdentity], identities: Sequence[TopicIdentity]) -> str:
    """What differs, and what to do."""
    parts = [
        f"{now.topic} was topic {then.topic_id} on cluster {then.cluster_id}, "
        f"now it is topic {now.topic_id} on cluster {now.cluster_id}"
        for then, now in zip(recorded, identities, strict=False)
        if then != now
    ]
    return (
        f"Kafka is not the one that ClickHouse was filled from (epoch {epoch}): {'; '.join(parts)}. If the address is "
        "wrong, set AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS. If the topic was created again on purpose, stop the sinks and "
        "run `axonstream init --new-epoch`: what is stored stays, and the new topic is read from its start"
    )

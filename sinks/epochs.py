"""An epoch: one incarnation of the topics on one Kafka cluster. Offsets mean something only within it.

`axonstream init` makes the first epoch; every stored row carries its number. The sink goes on only while Kafka is the
one that the newest epoch names, because the offsets of another topic would be taken for rows that are stored already.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics
from sinks.clickhouse import connect
from sinks.errors import EpochError
from sinks.topic_identity import TopicIdentity, topic_identities

log = logging.getLogger(__name__)


async def ensure_epoch(settings: Settings, *, new: bool = False) -> int:
    """The current epoch, made when there is none yet, or when `new` and Kafka is not that of the newest one.

    Topics and schema must exist, and no sink may be running when an epoch is made. Making one
    1. commits the start of each log as the sink group's offset (so a missing offset always means a lost one), then
    2. records the epoch: a crash in between is repaired by running it again.

    Raises EpochError when Kafka is not that of the newest epoch and `new` is not given.
    """
    names = _topics(settings)
    identities = await topic_identities(settings, names)
    client = await connect(settings)
    try:
        epoch, recorded = await _newest(client, names)
        if epoch and recorded == identities:
            return epoch
        if epoch and not new:
            raise EpochError(_difference(epoch, recorded, identities))
        await _commit_log_starts(settings, names)
        await client.insert(
            "topic_epochs",
            [[epoch + 1, identity.cluster_id, identity.topic, identity.topic_id] for identity in identities],
            column_names=["epoch", "cluster_id", "topic", "topic_id"],
        )
        log.info("epoch %s of topics %s begins", epoch + 1, ", ".join(names))
        return epoch + 1
    finally:
        await client.close()


async def current_epoch(settings: Settings, client: AsyncClient) -> int:
    """The epoch to stamp on rows. Raises EpochError when Kafka is not that of the newest epoch, or there is none."""
    names = _topics(settings)
    identities = await topic_identities(settings, names)
    epoch, recorded = await _newest(client, names)
    if not epoch:
        raise EpochError("ClickHouse knows no epoch of the topics: run `axonstream init` first")
    if recorded != identities:
        raise EpochError(_difference(epoch, recorded, identities))
    return epoch


def _topics(settings: Settings) -> list[str]:
    topics = Topics(settings.topic_prefix)
    return [topics.events, topics.summaries]


async def _newest(client: AsyncClient, topics: Sequence[str]) -> tuple[int, list[TopicIdentity]]:
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


def _difference(epoch: int, recorded: Sequence[TopicIdentity], identities: Sequence[TopicIdentity]) -> str:
    parts = [
        f"{now.topic} was topic {then.topic_id} on cluster {then.cluster_id}, "
        f"now it is topic {now.topic_id} on cluster {now.cluster_id}"
        for then, now in zip(recorded, identities, strict=False)
        if then != now
    ]
    return (
        f"Kafka is not the one that ClickHouse was filled from (epoch {epoch}): {'; '.join(parts)}. If the address is "
        "wrong, set AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS. If the topic was made anew on purpose, stop the sinks and run "
        "`axonstream init --new-epoch`: what is stored stays, and the new topic is read from its start"
    )


async def _commit_log_starts(settings: Settings, topics: Sequence[str]) -> None:
    consumer = AIOKafkaConsumer(
        **kafka_options(settings), group_id=Topics(settings.topic_prefix).sink_group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(t, p) for t in topics for p in range(settings.topic_partitions)]
        consumer.assign(partitions)
        starts = await consumer.beginning_offsets(partitions)
        first = topics[0]
        await consumer.commit(
            {tp: OffsetAndMetadata(start, "" if tp.topic == first else "0") for tp, start in starts.items()}
        )
    except CommitFailedError as error:
        raise EpochError("a sink is running: stop the sinks, then run `axonstream init` again") from error
    finally:
        await consumer.stop()

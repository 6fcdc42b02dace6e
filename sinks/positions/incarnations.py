"""An epoch: one incarnation of the topics on one Kafka cluster. Offsets mean something only within it.

`axonstream init` makes the first epoch; every stored row carries its number. The sink goes on only while Kafka is the
one that the newest epoch names, because the offsets of another topic would be taken for rows that are stored already.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect
from axonstream.kafka.topic_identity import TopicIdentity, topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EpochError
from axonstream.sinks.positions.installation import check_installation, installation_id
from axonstream.sinks.positions.lost_ends import newest_number
from axonstream.sinks.positions.sink_offsets import sink_offsets

log = logging.getLogger(__name__)


async def ensure_epoch(settings: Settings, *, new: bool = False) -> int:
    """The current epoch, made when there is none yet, or when `new` and Kafka is not that of the newest one.

    Topics and schema must exist, and no sink may be running when anything is to be committed. Making an epoch
    1. commits the start of each log as the sink group's offset (so a missing offset always means a lost one), then
    2. records the epoch: a crash in between is repaired by running it again.

    Where Kafka is that of the newest epoch, offsets that are missing are set to where the tables say. With `new` so are
    those from which no sink goes on: Kafka has deleted what comes next, or another database was filled from them.

    Raises EpochError when Kafka is not that of the newest epoch, or the offsets belong to another database, and `new`
    is not given.
    """
    names = _topics(settings)
    identities = await topic_identities(settings, names)
    client = await connect(settings)
    try:
        epoch, recorded = await _newest(client, names)
        if epoch and recorded != identities and not new:
            raise EpochError(_difference(epoch, recorded, identities))
        async with sink_offsets(settings) as offsets:
            own = await installation_id(client)
            if not new:
                check_installation(offsets.notes(), own)
            if epoch and recorded == identities:
                await offsets.mend(client, epoch, own, new=new)
                return epoch
            number = await newest_number(client) + 1
            # 1.
            await offsets.commit_log_starts(own)
        # 2.
        await client.insert(
            "topic_epochs",
            [[number, identity.cluster_id, identity.topic, identity.topic_id] for identity in identities],
            column_names=["epoch", "cluster_id", "topic", "topic_id"],
        )
        log.info("epoch %s of topics %s begins", number, ", ".join(names))
        return number
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
        "wrong, set AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS. If the topic was created again on purpose, stop the sinks and "
        "run `axonstream init --new-epoch`: what is stored stays, and the new topic is read from its start"
    )

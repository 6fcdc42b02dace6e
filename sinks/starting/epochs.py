"""`axonstream init` makes the epochs: what sinks start from is committed, then the epoch is written down."""

from __future__ import annotations

import logging

from axonstream.clickhouse.client import connect
from axonstream.kafka.topic_identity import topic_identities
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EpochError
from axonstream.sinks.positions.incarnations import difference, newest_epoch, pipeline_topics
from axonstream.sinks.positions.installation import check_installation, installation_id
from axonstream.sinks.starting.lost_ends import newest_number
from axonstream.sinks.starting.sink_offsets import sink_offsets

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
    names = pipeline_topics(settings)
    identities = await topic_identities(settings, names)
    client = await connect(settings)
    try:
        epoch, recorded = await newest_epoch(client, names)
        if epoch and recorded != identities and not new:
            raise EpochError(difference(epoch, recorded, identities))
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

"""Is this the Kafka that ClickHouse was filled from? Asked before anything is made on it."""

from __future__ import annotations

from string import Template

from axonstream.clickhouse.client import connect_blocking
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EpochError

_NEWEST = Template(
    "SELECT epoch, cluster_id FROM `${database}`.topic_epochs WHERE topic = {topic:String} ORDER BY epoch DESC LIMIT 1"
)


def check_cluster(settings: Settings, cluster_id: str) -> None:
    """Raises EpochError when the newest epoch of our topics is of another cluster than `cluster_id`.

    Blocking. Right also where ClickHouse holds nothing yet. It makes nothing: a topic that `init` makes on somebody
    else's Kafka would be taken for that of a stack there.
    """
    client = connect_blocking(settings)
    try:
        known = client.query(
            "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'topic_epochs'",
            parameters={"database": settings.clickhouse_database},
        ).result_rows
        if not known:
            return
        rows = client.query(
            _NEWEST.substitute(database=settings.clickhouse_database),
            parameters={"topic": Topics(settings.topic_prefix).events},
        ).result_rows
    finally:
        client.close()
    if rows and rows[0][1] != cluster_id:
        raise EpochError(
            f"the Kafka at {settings.kafka_bootstrap_servers} is cluster {cluster_id}, but what the ClickHouse at "
            f"{settings.clickhouse_url} holds came from cluster {rows[0][1]} (epoch {rows[0][0]}). Nothing was "
            "changed. If an address is wrong, set AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS or AXONSTREAM_CLICKHOUSE_URL. If "
            "this Kafka takes the place of the other one on purpose, stop the sinks and run `axonstream init "
            "--new-epoch`: what is stored stays, and the new topics are read from their start"
        )

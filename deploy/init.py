"""Make what the pipeline stands on: topics, schema, the epoch of the events topic. Idempotent."""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.errors import PartFailedError
from producers.cluster_id import cluster_id
from producers.settings import Settings
from producers.topic_admin import make_topics
from sinks.epochs import ensure_epoch
from sinks.known_cluster import check_cluster
from sinks.schema import migrate


async def initialise(settings: Settings, *, new_epoch: bool = False) -> None:
    """Everything that must exist before a processor, sink or gateway starts; running it again changes nothing.

    `new_epoch` accepts that agent-events is another topic than the one whose events are stored: it is read from its
    start. Raises ProducerError, SinkError, and PartFailedError when a server does not answer; each says what to do.
    """
    try:
        await _initialise(settings, new_epoch)
    except KafkaError as error:
        raise PartFailedError(
            f"no Kafka answers at {settings.kafka_bootstrap_servers} ({error!r}): check that it runs and "
            "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS"
        ) from error
    except ClickHouseError as error:
        raise PartFailedError(
            f"ClickHouse at {settings.clickhouse_url} cannot be set up ({str(error)[:300]}): check that it runs, and "
            "AXONSTREAM_CLICKHOUSE_URL, _USER and _PASSWORD"
        ) from error


async def _initialise(settings: Settings, new_epoch: bool) -> None:
    found = await cluster_id(settings)
    if not new_epoch:
        await asyncio.to_thread(check_cluster, settings, found)  # before topics are made on what is another's Kafka
    await make_topics(settings)
    await asyncio.to_thread(migrate, settings)
    await ensure_epoch(settings, new=new_epoch)

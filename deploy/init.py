"""Make what the pipeline stands on: topics, schema, the epoch of the events topic. Idempotent."""

from __future__ import annotations

import asyncio
import logging

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from axonstream.deploy.errors import ServerNotReadyError
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets, PipelineOffsetsError
from axonstream.kafka.cluster_id import cluster_id
from axonstream.kafka.topic_admin import make_topics, partitions_of_the_pipeline
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.known_cluster import check_cluster
from axonstream.sinks.schema import migrate
from axonstream.sinks.starting.epochs import ensure_epoch

log = logging.getLogger(__name__)


async def initialise(settings: Settings, *, new_epoch: bool = False, add_partitions: bool = False) -> None:
    """Everything that must exist before a processor, sink or gateway starts; running it again changes nothing.

    `new_epoch` accepts that agent-events is another topic than the one whose events are stored: it is read from its
    start. `add_partitions` gives existing topics as many partitions as the settings say.

    Raises ProducerError, SinkError, and ServerNotReadyError when a server does not answer; each says what to do.
    """
    try:
        await _initialise(settings, new_epoch, add_partitions)
    except KafkaError as error:
        raise ServerNotReadyError(
            f"no Kafka answers at {settings.kafka_bootstrap_servers} ({error!r}): check that it runs and "
            "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS"
        ) from error
    except ClickHouseError as error:
        raise ServerNotReadyError(
            f"ClickHouse at {settings.clickhouse_url} cannot be set up ({str(error)[:300]}): check that it runs, and "
            "AXONSTREAM_CLICKHOUSE_URL, _USER and _PASSWORD"
        ) from error


async def _initialise(settings: Settings, new_epoch: bool, add_partitions: bool) -> None:
    found = await cluster_id(settings)
    if not new_epoch:
        await asyncio.to_thread(check_cluster, settings, found)  # before topics are made on what is another's Kafka
    if add_partitions:
        await _check_that_all_is_read(settings)
    await make_topics(settings, add=add_partitions)
    await asyncio.to_thread(migrate, settings)
    await ensure_epoch(settings, new=new_epoch)


async def _check_that_all_is_read(settings: Settings) -> None:
    """A read of a trace waits for the partition that the trace has now. What waited in another one would be missed.

    Where the topics differ, no processor starts: what waits is read after this, and a line says what must start last.
    """
    counts = await partitions_of_the_pipeline(settings)
    count = counts.get(Topics(settings.topic_prefix).events, 0)
    if not 0 < count < settings.topic_partitions:
        return
    offsets = PipelineOffsets(settings.model_copy(update={"topic_partitions": count}))
    try:
        ends = await offsets.ends()
        visible = await offsets.visible()
    except PipelineOffsetsError as error:
        raise ServerNotReadyError(f"it cannot be said whether all events are stored: {error}") from error
    finally:
        await offsets.close()
    waiting = sum(max(end - visible[partition], 0) for partition, end in ends.items())
    if waiting and len(set(counts.values())) > 1:
        log.warning(
            "%d events are not stored and folded yet, and reads would miss them: start processors and sinks now, and "
            "the gateways once `axonstream verify` says of 0 records that they are not stored or in no summary yet",
            waiting,
        )
    elif waiting:
        raise ServerNotReadyError(
            f"{waiting} events are not stored and folded yet, and reads would miss them: stop the gateways, let "
            "processors and sinks run until `axonstream verify` says of 0 records that they are not stored or in no "
            "summary yet, stop them, then run `axonstream init --add-partitions` again"
        )

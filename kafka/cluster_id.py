"""Which Kafka answers: the id that a cluster gets when it is formatted, and keeps."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.client import kafka_options
from axonstream.settings.settings import Settings

_ANSWERS_WITHIN_MS = 2000


async def cluster_id(settings: Settings) -> str:
    """Of the Kafka at the address of the settings. Raises KafkaError when none answers."""
    admin = AIOKafkaAdminClient(**kafka_options(settings), request_timeout_ms=_ANSWERS_WITHIN_MS)
    try:
        await admin.start()
        return (await admin.describe_cluster())["cluster_id"]
    finally:
        await admin.close()

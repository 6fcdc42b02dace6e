"""Kafka is away for longer than a gateway waits: afterwards it follows the control topic again."""

from __future__ import annotations

import asyncio
import logging
from uuid import uuid4

import pytest

from axonstream.gateway.control.records import App, ControlRecord, Kind, Place
from axonstream.kafka.topic_admin import make_topics
from axonstream.settings.settings import Settings
from kit.audit_entries import an_entry
from kit.control_followers import following
from kit.kafka_cluster import KafkaCluster
from kit.until import until

pytestmark = pytest.mark.services


def test_what_another_gateway_changes_after_an_outage_is_known(
    one_broker: KafkaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """What aiokafka cancels when a consumer stops during an outage came out as the end of the following."""
    settings = Settings(
        kafka_bootstrap_servers=one_broker.bootstrap_servers,
        topic_prefix=f"t{uuid4().hex[:8]}-",
        publish_timeout_ms=1_000,
    )
    [broker] = one_broker.brokers.values()

    async def scenario() -> None:
        await make_topics(settings)
        async with following(settings) as control:
            broker.kill()
            try:
                await until(lambda: "the control topic cannot be read" in caplog.text, "the outage is noticed", 60)
            finally:
                broker.start()
            await one_broker.until_ready()
            async with following(settings.model_copy(update={"publish_timeout_ms": 60_000})) as other:
                await other.write([ControlRecord(Place(Kind.APP, "1", 7), App(7, "new", 5, 5))], an_entry())
            await until(lambda: 7 in control.data.tenant("1").apps, "the change is known", 60)

    with caplog.at_level(logging.WARNING, "axonstream.gateway.control.log"):
        asyncio.run(scenario())

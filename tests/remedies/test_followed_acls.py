"""What `axonstream init` says to do where Kafka does not let it change topics is done, and helps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from uuid import uuid4

import pytest

from axonstream.kafka.topic_configs import change_configs, read_configs
from axonstream.settings.settings import Settings
from kit.command_line import axonstream, environment
from kit.guarded_kafka import PASSWORD, USER, GuardedKafka, Operation, Resource, guarded_kafka

pytestmark = pytest.mark.services

WITHOUT_ALTER_CONFIGS = set(Operation) - {Operation.ALTER_CONFIGS}
FLUSH = "flush.messages"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Generator[GuardedKafka]:
    """Its user may do all that axonstream needs, but change no topic."""
    with guarded_kafka(tmp_path_factory.mktemp("acls")) as running:
        for resource in Resource:
            name = "kafka-cluster" if resource is Resource.CLUSTER else "*"
            operations = WITHOUT_ALTER_CONFIGS if resource is Resource.TOPIC else {Operation.DESCRIBE}
            asyncio.run(running.allow(resource, name, operations))
        asyncio.run(running.allow(Resource.GROUP, "*", [Operation.READ]))
        asyncio.run(running.allow(Resource.CLUSTER, "kafka-cluster", [Operation.CREATE]))
        yield running


@pytest.fixture
def own(kafka: GuardedKafka, clickhouse_url: str) -> dict[str, str]:
    """The environment of an installation whose topics exist, and that wants them flushed from now on."""
    name = uuid4().hex[:8]
    settings = Settings(
        kafka_bootstrap_servers=kafka.guarded,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=1,
    )
    given = environment(settings) | {
        "AXONSTREAM_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "AXONSTREAM_KAFKA_SASL_USERNAME": USER,
        "AXONSTREAM_KAFKA_SASL_PASSWORD": PASSWORD,
    }
    code, said = axonstream(given, "init")
    assert code == 0, said
    return given | {"AXONSTREAM_KAFKA_FLUSH_MESSAGES": "1"}


def refused_topics(own: dict[str, str]) -> list[str]:
    code, said = axonstream(own, "init")
    assert code != 0
    assert "Kafka does not let this client change them" in said
    assert "allow it AlterConfigs of the topics, or" in said
    topics = re.findall(rf"(\S+) must have {FLUSH}=1", said)
    assert len(topics) == 4, said  # all but the control topic, which has it whatever the setting says
    return topics


async def flush_of(kafka: GuardedKafka, topics: list[str]) -> set[str]:
    async with kafka.operator() as admin:
        return {(await read_configs(admin, topic, [FLUSH]))[FLUSH].value for topic in topics}


def test_topics_that_somebody_else_may_change_are_taken_once_he_has(kafka: GuardedKafka, own: dict[str, str]) -> None:
    """ "Or set them yourself": one message names all of them."""

    async def set_them_yourself(topics: list[str]) -> None:
        async with kafka.operator() as admin:
            for topic in topics:
                await change_configs(admin, topic, {FLUSH: "1"})

    asyncio.run(set_them_yourself(refused_topics(own)))
    code, said = axonstream(own, "init")
    assert code == 0, said


def test_a_client_that_is_allowed_alter_configs_changes_them_itself(kafka: GuardedKafka, own: dict[str, str]) -> None:
    topics = refused_topics(own)
    for topic in topics:
        asyncio.run(kafka.allow(Resource.TOPIC, topic, [Operation.ALTER_CONFIGS]))
    code, said = axonstream(own, "init")
    assert code == 0, said
    assert asyncio.run(flush_of(kafka, topics)) == {"1"}

"""A real broker that lets a user do only what it was allowed, and an operator who may do everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import CreateAclsRequest

from axonstream.local.kafka_broker import DATA, new_cluster_id
from kit.kafka_cluster import READY_S, KafkaBroker, new_port
from kit.until import until

USER, PASSWORD = "axonstream", "guarded-by-acls"
_LITERAL, _ALLOW = 3, 3
# Without a name one is ANONYMOUS: the operator, and the broker as its own controller.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{guarded_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{guarded_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={data_dir}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
"""


class Resource(IntEnum):
    """What Kafka guards, by its numbers."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What one may be allowed to do, by Kafka's numbers."""

    READ = 3
    WRITE = 4
    CREATE = 5
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


class GuardedKafka:
    """`guarded` is for USER with SASL PLAIN, `open` for the operator."""

    def __init__(self, directory: Path) -> None:
        port, guarded_port, controller_port = new_port(), new_port(), new_port()
        at = directory.resolve() / "guarded-kafka"
        properties = _PROPERTIES.format(
            port=port,
            guarded_port=guarded_port,
            controller_port=controller_port,
            user=USER,
            password=PASSWORD,
            data_dir=at / DATA,
        )
        self.broker = KafkaBroker(at, 1, port, new_cluster_id(), properties)
        self.open = f"127.0.0.1:{port}"
        self.guarded = f"127.0.0.1:{guarded_port}"

    async def allow(self, resource: Resource, name: str, operations: Iterable[Operation]) -> None:
        """USER may do so to what is called so; "*" is everything."""
        async with self.operator() as admin:
            for operation in operations:
                asked = CreateAclsRequest(resource, name, _LITERAL, f"User:{USER}", "*", operation, _ALLOW)
                answer: Any = await admin._send_request(asked)
                assert [code for code, *_ in answer.creation_responses] == [0], answer

    @asynccontextmanager
    async def operator(self) -> AsyncGenerator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.open)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def answers(self) -> bool:
        assert not self.broker.ended(), self.broker.output()[-3000:]
        try:
            async with self.operator() as admin:
                await admin.list_topics()
        except KafkaError:
            return False
        return True


@contextmanager
def guarded_kafka(directory: Path) -> Generator[GuardedKafka]:
    """A ready one, on which USER may do nothing yet; killed at the end."""
    kafka = GuardedKafka(directory)
    kafka.broker.start()
    try:
        asyncio.run(until(kafka.answers, "the broker answers", READY_S))
        yield kafka
    finally:
        kafka.broker.kill()

"""What a broken connection is to aiokafka on uvloop, and that nobody else's aiokafka is changed for it."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from typing import Any

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from axonstream.kafka.client import survive_closed_transports, survive_closed_transports_of

PUBLISHES = """
import asyncio
from aiokafka.conn import AIOKafkaConnection
before = dict(vars(AIOKafkaConnection))
from axonstream import KafkaPublisher

async def publish():
    async with KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id="1", timeout_ms=500) as publisher:
        pass

try:
    asyncio.run(publish())
except Exception as error:
    print(type(error).__name__)
assert dict(vars(AIOKafkaConnection)) == before, "the user's aiokafka is another one"
"""


async def must_be_broken_once_uvloop_has_closed_it(connection: Any) -> None:
    """As after the kill -9 of a broker, until the task that reads has seen it: it must not end who writes."""
    assert await connection.send(MetadataRequest([]))
    connection._read_task.cancel()
    transport = connection._writer.transport
    transport.abort()
    async with asyncio.timeout(60):
        while "closed=True" not in repr(transport):
            await asyncio.sleep(0)
    with pytest.raises(KafkaConnectionError):
        await connection.send(MetadataRequest([]))
    assert not connection.connected()


@pytest.mark.services
def test_a_write_to_a_connection_that_uvloop_has_closed_is_a_broken_connection(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("send", "_send_sasl_token"):
        monkeypatch.setattr(AIOKafkaConnection, name, inspect.unwrap(getattr(AIOKafkaConnection, name)))
    survive_closed_transports()
    host, _, port = kafka_bootstrap.partition(":")

    async def run() -> None:
        await must_be_broken_once_uvloop_has_closed_it(await create_conn(host, int(port)))

    uvloop.run(run())


@pytest.mark.services
def test_of_one_client_alone_it_is_a_broken_connection(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("send", "_send_sasl_token"):
        monkeypatch.setattr(AIOKafkaConnection, name, inspect.unwrap(getattr(AIOKafkaConnection, name)))

    async def run() -> None:
        client: Any = AIOKafkaClient(bootstrap_servers=kafka_bootstrap)
        survive_closed_transports_of(client)
        await client.bootstrap()
        try:
            [broker] = client.cluster.brokers()
            await must_be_broken_once_uvloop_has_closed_it(await client._get_conn(broker.nodeId))
            assert (await client._get_conn(broker.nodeId)).connected(), "the next one is a new one"
        finally:
            await client.close()

    uvloop.run(run())
    assert not hasattr(AIOKafkaConnection.send, "__wrapped__")


def test_a_publisher_changes_nothing_of_the_process_that_it_is_in() -> None:
    done = subprocess.run([sys.executable, "-c", PUBLISHES], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "NotAcknowledgedError\n"), done.stderr

"""What a broken connection is to aiokafka on uvloop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest


@pytest.mark.services
def test_a_write_to_a_connection_that_uvloop_has_closed_is_a_broken_connection(kafka_bootstrap: str) -> None:
    """As after the kill -9 of a broker, until the task that reads has seen it: it must not end who writes."""
    host, _, port = kafka_bootstrap.partition(":")

    async def run() -> None:
        connection: Any = await create_conn(host, int(port))
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

    uvloop.run(run())

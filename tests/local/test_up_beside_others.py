"""A stack among other programs that want the same ports, and on a Kafka that is not the one it was filled from."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from typing_extensions import override

from axonstream import AsyncAxonPush
from axonstream.clickhouse.client import connect
from axonstream.kafka.client import kafka_options
from axonstream.kafka.cluster_id import cluster_id
from axonstream.kafka.topics import Topics
from axonstream.local.data_directory import DataDirectory
from axonstream.local.endpoints import Endpoints
from axonstream.local.errors import PartFailedError
from axonstream.local.kafka_broker import kept_cluster_id
from axonstream.local.stack import LocalStack, StackOptions
from axonstream.settings.settings import Settings
from kit.until import until

pytestmark = pytest.mark.services

WITHIN_S = 120


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@asynccontextmanager
async def forwarded(port: int, target: int) -> AsyncGenerator[None]:
    """Whatever comes to `port` is answered by another program's server."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def topics_on(settings: Settings) -> set[str]:
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def works(url: str) -> bool:
    async with AsyncAxonPush("ak_local", "1", base_url=url) as client:
        await client.events.publish("works", {}, 1, trace_id="tr_works")
        return (await client.traces.get_summary("tr_works")).total_events == 1


def bound_at_once(port: int) -> socket.socket:
    """Another program that takes the port the moment that it is free; nothing else of this process runs meanwhile."""
    deadline = monotonic() + WITHIN_S
    while True:
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            taken.close()
            assert monotonic() < deadline
        else:
            taken.listen()
            return taken


def test_what_took_a_port_meanwhile_is_not_taken_for_ours(
    tmp_path: Path, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports, users 1: `up` took the broker of another stack for its own, and prepared its topics there."""
    said: list[str] = []
    monkeypatch.setenv("AXONSTREAM_TOPIC_PREFIX", "ours-")
    theirs = Settings(kafka_bootstrap_servers=endpoints.kafka_bootstrap_servers)

    async def story() -> None:
        options = StackOptions(tmp_path, gateway_port=0, kafka_port=0, clickhouse_port=0)
        stack = LocalStack(options, Settings(), said.append)
        chosen = stack.settings
        kafka, clickhouse = port_of(chosen.kafka_bootstrap_servers), port_of(chosen.clickhouse_url)
        try:
            async with (
                forwarded(kafka, port_of(endpoints.kafka_bootstrap_servers)),
                forwarded(clickhouse, port_of(endpoints.clickhouse_url)),
                forwarded(chosen.gateway_port, port_of(endpoints.gateway_url)),
            ):
                await stack.start()
                for name, port in (("kafka", kafka), ("clickhouse", clickhouse), ("gateway", chosen.gateway_port)):
                    assert [line for line in said if line.startswith(f"{name}: port {port} was taken meanwhile")], said
                found = await cluster_id(stack.settings)
                assert found == kept_cluster_id(tmp_path / "kafka") != await cluster_id(theirs)
                assert Topics("ours-").events not in await topics_on(theirs)
                assert await works(stack.url)
            kafka = port_of(stack.settings.kafka_bootstrap_servers)
            os.kill(int((tmp_path / "run" / "kafka.pid").read_text()), signal.SIGKILL)
            with bound_at_once(kafka), pytest.raises(PartFailedError, match=f"has taken its port {kafka}"):
                await asyncio.wait_for(stack.lost(), WITHIN_S)
        finally:
            await stack.stop()

    with DataDirectory(tmp_path):
        asyncio.run(story())


class FilledElsewhere(LocalStack):
    """Its ClickHouse holds what came from another Kafka, and only the sink finds that out."""

    @override
    async def _initialise(self) -> None:
        await super()._initialise()
        topics = Topics(self.settings.topic_prefix)
        client = await connect(self.settings)
        rows = [[9, "elsewhere", topic, "0"] for topic in (topics.events, topics.summaries)]
        await client.insert("topic_epochs", rows, column_names=["epoch", "cluster_id", "topic", "topic_id"])
        await client.close()


def test_a_worker_that_refuses_to_start_leaves_kafka_up_and_goes_on_after_the_command_that_it_names(
    tmp_path: Path,
) -> None:
    """Delivery 3: `up` ended with the worker, and there was no Kafka left to run the command against."""
    said: list[str] = []

    async def story() -> None:
        options = StackOptions(tmp_path, gateway_port=0, kafka_port=0, clickhouse_port=0)
        stack = FilledElsewhere(options, Settings(), said.append)
        starting = asyncio.create_task(stack.start())
        try:
            await until(lambda: any("sink-0 ended with exit code 78" in line for line in said), str(said), WITHIN_S)
            refusal = said[-1]
            assert "`axonstream init --new-epoch`" in refusal
            assert f"--data-dir {tmp_path}" in refusal
            assert not starting.done()
            assert await cluster_id(stack.settings)
            assert not (tmp_path / "run" / "gateway.pid").exists(), "nothing is published to a log that is not accepted"
            command = [
                sys.executable,
                "-m",
                "axonstream.cli.main",
                "init",
                "--new-epoch",
                "--data-dir",
                str(tmp_path),
            ]
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, timeout=WITHIN_S, check=False
            )
            assert done.returncode == 0, done.stderr
            await asyncio.wait_for(starting, WITHIN_S)
            assert await works(stack.url)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await stack.stop()

    with DataDirectory(tmp_path):
        asyncio.run(story())

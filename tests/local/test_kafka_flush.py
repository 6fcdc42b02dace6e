"""`axonstream kafka` and `axonstream up`: the broker flushes as the setting says, and is put back without it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from axonstream.kafka.topic_configs import TopicConfig, read_configs
from axonstream.local.free_ports import free_port
from axonstream.local.stack import LocalStack, StackOptions
from axonstream.settings.settings import Settings
from kit.until import until

READY_S = 90.0
TOPIC, FLUSH = "topic-of-nobody", "flush.messages"
NEVER = TopicConfig(str((1 << 63) - 1), is_own=False)


def flush_of_the_broker(directory: Path, **environment: str) -> TopicConfig:
    """What a topic has on which nobody has set anything, on a broker that is started with these variables."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "axonstream.cli.main",
        "kafka",
        "--data-dir",
        str(directory),
        "--port",
        str(port),
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    found: list[TopicConfig] = []

    async def answered() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=2000)
        try:
            await admin.start()
            if TOPIC not in await admin.list_topics():
                await admin.create_topics([NewTopic(TOPIC, 1, 1)])
            configs = await read_configs(admin, TOPIC, [FLUSH])
        except KafkaError:
            return False
        finally:
            await admin.close()
        found.extend(configs.values())
        return bool(found)

    with subprocess.Popen([*command, "--controller-port", str(free_port())], env=clean | environment) as broker:
        try:
            asyncio.run(until(answered, "the broker says how often it flushes", READY_S))
        finally:
            broker.terminate()
            broker.wait(READY_S)
    return found[0]


@pytest.mark.services
def test_the_broker_flushes_as_the_setting_says_and_without_it_as_kafka_does(tmp_path: Path) -> None:
    assert flush_of_the_broker(tmp_path, AXONSTREAM_KAFKA_FLUSH_MESSAGES="1") == TopicConfig("1", is_own=False)
    assert flush_of_the_broker(tmp_path) == NEVER


def test_topics_of_a_local_stack_are_put_back_without_the_setting_and_those_elsewhere_are_left(tmp_path: Path) -> None:
    """Nobody but `axonstream up` sets anything on the first; a person may have made the others durable by hand."""

    async def of_a_stack(**given: object) -> int | None:
        return LocalStack(StackOptions(tmp_path), Settings.model_validate(given), print).settings.kafka_flush_messages

    assert asyncio.run(of_a_stack()) == 0
    assert asyncio.run(of_a_stack(kafka_flush_messages=1)) == 1
    assert asyncio.run(of_a_stack(kafka_bootstrap_servers="127.0.0.1:1")) is None

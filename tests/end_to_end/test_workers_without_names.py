"""Workers that are started without a name share the partitions, and one that is stopped leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.printed import end, read_on
from kit.until import until

pytestmark = pytest.mark.services

WITHIN_S = 60
SESSION_MS = 300_000  # far beyond the test: who takes over has not waited for it


@contextmanager
def worker(part: str, settings: Settings) -> Generator[subprocess.Popen[str]]:
    names = ("kafka_bootstrap_servers", "clickhouse_url", "clickhouse_database", "topic_prefix", "topic_partitions")
    given = {f"AXONSTREAM_{name.upper()}": str(getattr(settings, name)) for name in names}
    given |= {"AXONSTREAM_SESSION_TIMEOUT_MS": str(SESSION_MS), "AXONSTREAM_LOG_LEVEL": "WARNING"}
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_INSTANCE")}
    command = [sys.executable, "-m", "axonstream.cli.main", part]
    process = subprocess.Popen(command, env={**kept, **given}, stdout=subprocess.PIPE, text=True)
    read_on(process)
    try:
        yield process
    finally:
        end(process)


async def members_of(group: str, settings: Settings) -> int:
    """0 while the group is not stable."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        answers: Any = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    _, _, state, _, _, members, *_ = answers[0].groups[0]
    return len(members) if state == "Stable" else 0


@pytest.mark.parametrize("part", ["sink", "processor"])
def test_two_without_a_name_share_the_partitions_and_one_that_stops_leaves_them_at_once(
    part: str, server_settings: Settings
) -> None:
    """Delivery 7: both had one name, and took each other's place for ever."""
    topics = Topics(server_settings.topic_prefix)
    group = topics.sink_group if part == "sink" else topics.processor_app

    async def until_shared(members: int) -> None:
        async def holds() -> bool:
            return await members_of(group, server_settings) == members

        await until(holds, f"{members} share {group}", WITHIN_S)

    with worker(part, server_settings) as first, worker(part, server_settings) as second:
        asyncio.run(until_shared(2))
        assert (first.poll(), second.poll()) == (None, None)
        first.send_signal(signal.SIGTERM)
        assert first.wait(WITHIN_S) == 0
        asyncio.run(until_shared(1))
        assert second.poll() is None

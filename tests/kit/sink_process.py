"""A sink as its own process, and what it stored."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import CommitFailedError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.printed import end, read_on
from kit.until import until

RUN = "from axonstream.settings.settings import Settings; from axonstream.sinks.worker import run; run(Settings())"
LONGEST_S = 60


def start_sink(settings: Settings, *command: str) -> subprocess.Popen[str]:
    """Not waited for; the caller ends it. `command` stands for the sink itself."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "AXONSTREAM_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "AXONSTREAM_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
        "AXONSTREAM_INSERT_TIMEOUT_MS": str(settings.insert_timeout_ms),
        "AXONSTREAM_MAX_BAD_EVENTS_PER_MINUTE": str(settings.max_bad_events_per_minute),
        "AXONSTREAM_MAX_REFUSED_IN_A_ROW": str(settings.max_refused_in_a_row),
        "AXONSTREAM_DEAD_LETTER_TIMEOUT_MS": str(settings.dead_letter_timeout_ms),
        "AXONSTREAM_SINK_MAX_ROWS": str(settings.sink_max_rows),
        "AXONSTREAM_SINK_INSTANCE": settings.sink_instance or "sink-0",  # started again, it takes over at once
        "AXONSTREAM_DELETION_PAUSE_S": str(settings.deletion_pause_s),
        "AXONSTREAM_LOG_LEVEL": "WARNING",
    }
    command = (sys.executable, *(command or ("-c", RUN)))
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@contextmanager
def sink(settings: Settings) -> Generator[subprocess.Popen[str]]:
    """A sink that has said that it is ready; killed at the end if it still runs."""
    process = start_sink(settings)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready sink\n", f"the sink ended with {process.wait(60)}"
        read_on(process)
        yield process
    finally:
        end(process)


class Pipeline:
    """Publishes to the topics, and asks ClickHouse."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, client: AsyncClient) -> None:
        self.settings = settings
        self.topics = Topics(settings.topic_prefix)
        self.producer = producer
        self.client = client

    async def send(self, topic: str, key: bytes, value: bytes, partition: int | None = None) -> tuple[int, int]:
        """(partition, offset) of the acknowledged record."""
        sent = await self.producer.send_and_wait(topic, value, key=key, partition=partition)
        return sent.partition, sent.offset

    async def query(self, sql: str) -> Sequence[Sequence[Any]]:
        return (await self.client.query(sql)).result_rows

    async def until(self, sql: str, expected: object) -> None:
        """Wait until the query's only value is `expected`."""
        found: object = None

        async def holds() -> bool:
            nonlocal found
            found = (await self.query(sql))[0][0]
            return found == expected

        await until(holds, lambda: f"{sql}: {expected}, but {found}", LONGEST_S)

    async def committed(self) -> dict[tuple[str, int], tuple[int, str]]:
        """(topic, partition) -> (offset, metadata) of the sink's group."""
        admin = AIOKafkaAdminClient(**kafka_options(self.settings))
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.topics.sink_group)
        finally:
            await admin.close()
        return {(tp.topic, tp.partition): (found.offset, found.metadata) for tp, found in offsets.items()}

    async def until_committed(self, partition: int, offset: int) -> None:
        """Wait until the sink has committed this offset of agent-events."""

        async def holds() -> bool:
            return (await self.committed())[self.topics.events, partition][0] >= offset

        await until(holds, f"{offset} is committed of partition {partition}", LONGEST_S)

    async def commit(self, partition: int, offset: int) -> None:
        """What `kafka-consumer-groups.sh --reset-offsets` does; no sink may be running."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self.settings), group_id=self.topics.sink_group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            tp = TopicPartition(self.topics.events, partition)
            consumer.assign([tp])
            deadline = monotonic() + LONGEST_S
            while True:
                try:
                    return await consumer.commit({tp: OffsetAndMetadata(offset, "")})
                except CommitFailedError:  # the sink that has ended is still a member, for a session
                    assert monotonic() < deadline
                    await asyncio.sleep(0.2)
        finally:
            await consumer.stop()

    async def delete_records(self, partition: int, before: int) -> None:
        """What retention does, at once."""
        admin = AIOKafkaAdminClient(**kafka_options(self.settings))
        await admin.start()
        try:
            tp = TopicPartition(self.topics.events, partition)
            await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
        finally:
            await admin.close()


@asynccontextmanager
async def pipeline(settings: Settings) -> AsyncGenerator[Pipeline]:
    """The database is dropped at the end."""
    producer = AIOKafkaProducer(**kafka_options(settings), acks="all", enable_idempotence=True)
    await producer.start()
    client = await connect(settings)
    try:
        yield Pipeline(settings, producer, client)
    finally:
        await producer.stop()
        await client.command(f"DROP DATABASE {settings.clickhouse_database}")
        await client.close()

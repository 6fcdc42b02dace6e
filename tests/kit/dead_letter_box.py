"""Dead letters as a test puts them there, and the command that an operator runs on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from axonstream.cli.dead_letters_command import dead_letters
from axonstream.clickhouse.client import connect
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from kit.sample_events import NOW_MS


def environment(settings: Settings) -> dict[str, str]:
    return {
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
    }


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(dead_letters, arguments, env=environment(settings))


def listed(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    result = run(settings, "list", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


async def put(settings: Settings, letters: Sequence[DeadLetter], epoch: int = 1) -> None:
    """What the sink writes."""
    client = await connect(settings)
    rows: list[list[Any]] = [
        [x.topic, x.partition, x.offset, x.key or b"", x.value or b"", x.reason, *x.trace(), x.failed_at, epoch]
        for x in letters
    ]
    names = ["topic", "partition", "offset", "key", "value", "reason", "tenant_id", "trace_id", "failed_at"]
    types = ["String", "UInt32", "Int64", *["String"] * 5, "DateTime64(3, 'UTC')", "UInt32"]
    await client.insert("dead_letters", rows, column_names=[*names, "_topic_epoch"], column_type_names=types)
    await client.close()


def letter(settings: Settings, offset: int, value: bytes, reason: str = "for a test", **changed: Any) -> DeadLetter:
    topic = Topics(settings.topic_prefix).events
    return replace(DeadLetter(topic, 0, offset, b"tr_1", value, reason, NOW_MS + offset), **changed)


async def published(settings: Settings) -> list[bytes]:
    """The values on agent-events, in the order of their offsets, partition after partition."""
    topic = Topics(settings.topic_prefix).events
    partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
    values: list[bytes] = []
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers) as consumer:
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            values += [(await consumer.getone()).value or b"" for _ in range(end)]
    return values

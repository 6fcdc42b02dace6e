"""What the sink would store, stored by hand into real ClickHouse, so that a test decides what is visible when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from axonstream.clickhouse.client import connect
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

_EVENT: dict[str, Any] = {
    "tenant_id": "1", "event_id": 7, "span_id": "", "agent_id": "", "event_type": "custom", "identifier": "step",
    "payload": "{}", "metadata": "", "dedup_key": "", "source": "app", "_topic_epoch": 1, "_partition": 0,
}  # fmt: skip
_SUMMARY: dict[str, Any] = {
    "tenant_id": "1", "first_offset": 0, "last_offset": 0, "event_count": 1, "error_count": 0, "tool_call_count": 0,
    "handoff_count": 0, "agents": [], "event_types": ["custom"], "first_error_event_id": 0, "first_error_step": 0,
    "first_error_span_id": "", "first_error_identifier": "", "first_error_agent_id": "", "exact": 1, "_topic_epoch": 1,
    "_partition": 0,
}  # fmt: skip


def event(trace_id: str, offset: int, at_ms: int, **fields: Any) -> dict[str, Any]:
    """A row of events_log."""
    row = _EVENT | {"trace_id": trace_id, "_offset": offset, "occurred_at": at_ms, "received_at": at_ms}
    return row | {"event_id": 1000 + offset} | fields


def summary(trace_id: str, at_ms: int, **fields: Any) -> dict[str, Any]:
    """A row of trace_summaries."""
    times = {"first_at": at_ms, "last_at": at_ms, "last_received_at": at_ms}
    return _SUMMARY | {"trace_id": trace_id} | times | fields


async def store(settings: Settings, events: Sequence[dict[str, Any]], summaries: Sequence[dict[str, Any]]) -> None:
    """Insert rows, and nothing else: they are not visible to a read that waits for offsets."""
    client = await connect(settings)
    try:
        for table, rows in (("events_log", events), ("trace_summaries", summaries)):
            if rows:
                lines = b"\n".join(orjson.dumps(_with_times(row)) for row in rows)
                await client.raw_insert(table, insert_block=lines, fmt="JSONEachRow")
    finally:
        await client.close()


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: f"{ms // 1000}.{ms % 1000:03}" for name, ms in row.items() if name.endswith("_at")}


async def commit(settings: Settings, offset: int) -> None:
    """Commit what the sink would have committed when everything below `offset` is stored, on every partition."""
    topics = Topics(settings.topic_prefix)
    consumer = AIOKafkaConsumer(**kafka_options(settings), group_id=topics.sink_group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = range(settings.topic_partitions)
        events = {TopicPartition(topics.events, p): OffsetAndMetadata(offset, "") for p in partitions}
        summaries = {TopicPartition(topics.summaries, p): OffsetAndMetadata(0, str(offset)) for p in partitions}
        consumer.assign([*events, *summaries])
        async with asyncio.timeout(60):
            await consumer.commit({**events, **summaries})
    finally:
        await consumer.stop()

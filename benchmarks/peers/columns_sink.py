"""The usual way of a sink: orjson, one Python list a column, clickhouse-connect's Native insert, then the commit.

No validation and no ledger: after a kill -9 it loses or doubles rows.
"""

from __future__ import annotations

from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from axonstream.clickhouse.client import connect
from axonstream.settings.settings import Settings
from benchmarks.peers.job import SinkJob, say, set_gc, told

_TEXTS = (
    "tenant_id",
    "trace_id",
    "span_id",
    "parent_event_id",
    "parent_span_id",
    "agent_id",
    "event_type",
    "identifier",
    "dedup_key",
    "environment",
    "source",
)
_NUMBERS = ("event_id", "channel_id", "occurred_at", "received_at")
_NAMES = (*_TEXTS, *_NUMBERS, "payload", "metadata", "_topic_epoch", "_partition", "_offset")


def columns(records: list[Any]) -> list[list[Any]]:
    events = [orjson.loads(record.value) for record in records]
    return [
        *([event.get(name, "") for event in events] for name in _TEXTS),
        *([event[name] for event in events] for name in _NUMBERS),
        [orjson.dumps(event["payload"]).decode() for event in events],
        [orjson.dumps(event["metadata"]).decode() if "metadata" in event else "" for event in events],
        [1] * len(records),
        [record.partition for record in records],
        [record.offset for record in records],
    ]


async def run(job: SinkJob) -> None:
    set_gc()
    client = await connect(Settings(clickhouse_url=job.clickhouse, clickhouse_database=job.database))
    client.write_compression = None  # it would compress with LZ4; the product's inserts are not compressed
    consumer = AIOKafkaConsumer(
        job.events,
        bootstrap_servers=job.kafka,
        group_id=job.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=job.fetch_bytes,
        fetch_max_bytes=job.fetch_max_bytes,
    )
    await consumer.start()
    say("ready")
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=job.max_rows)
        records = [record for some in fetched.values() for record in some]
        if records:
            await client.insert(
                "events_log", columns(records), column_names=list(_NAMES), column_oriented=True, settings=job.settings
            )
            await consumer.commit()


if __name__ == "__main__":
    uvloop.run(run(told(SinkJob)))

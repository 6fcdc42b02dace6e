"""The ceiling of any sink: the bodies of the product's inserts, made before the clock starts, sent one by one."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.clickhouse.client import connect
from axonstream.contract.event import Event
from axonstream.contract.record_validation import validate_record
from axonstream.settings.settings import Settings
from axonstream.sinks.events.event_line import event_line, line_end
from axonstream.sinks.events.event_store import COLUMNS, TABLE
from axonstream.sinks.writing.table_writer import TableWriter
from benchmarks.peers.job import SinkJob, say, set_gc, told


async def prepared(job: SinkJob) -> list[list[bytes]]:
    """The whole topic as lines, cut into batches of at most `max_rows`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=job.kafka, max_partition_fetch_bytes=job.fetch_bytes)
    await consumer.start()
    try:
        partitions = [TopicPartition(job.events, p) for p in sorted(consumer.partitions_for_topic(job.events) or ())]
        partitions = partitions or [TopicPartition(job.events, p) for p in range(job.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        left = {tp: end for tp, end in (await consumer.end_offsets(partitions)).items() if end}
        lines: list[bytes] = []
        while left:
            for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    event = cast("Event", validate_record(record.key, record.value))
                    lines.append(
                        event_line(
                            event, record.value or b"", line_end(1, tp.partition), record.offset, record.timestamp
                        )
                    )
                if records and records[-1].offset + 1 >= left[tp]:
                    del left[tp]
    finally:
        await consumer.stop()
    return [lines[start : start + job.max_rows] for start in range(0, len(lines), job.max_rows)]


async def run(job: SinkJob) -> None:
    set_gc()
    settings = Settings(clickhouse_url=job.clickhouse, clickhouse_database=job.database)
    client = await connect(settings)
    writer = TableWriter(client, settings)
    batches = await prepared(job)
    say("ready")
    for lines in batches:
        await writer.insert(TABLE, COLUMNS, lines, range(job.partitions))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(told(SinkJob)))

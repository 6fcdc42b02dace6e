"""Steps and summaries from Kafka into their tables once more, beside the sinks: storing them again changes nothing."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.summaries.summary_lines import COLUMNS, STEP_COLUMNS, HiddenSummaries, SummaryBatch
from axonstream.sinks.summaries.summary_store import STEPS, TABLE
from axonstream.sinks.writing.table_writer import TableWriter

_AT_A_TIME = 20_000
_LOOK_MS = 500


async def store_summaries_from(
    settings: Settings, client: AsyncClient, epoch: int, partition: int, start: int, hidden: HiddenSummaries
) -> int:
    """The newest snapshot of each segment in the log from `start` to where it ends now, and the newest version of each
    step; how many summaries that were.

    Records that are neither are passed by: the sink has dealt with them.
    Those of deleted traces are left out. Raises KafkaError and InsertError.
    """
    tp = TopicPartition(Topics(settings.topic_prefix).summaries, partition)
    writer = TableWriter(client, settings)
    consumer = AIOKafkaConsumer(
        **kafka_options(settings), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=_LOOK_MS
    )
    stored = 0
    try:
        await consumer.start()
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        consumer.seek(tp, start)
        while await consumer.position(tp) < end:
            records = (await consumer.getmany(tp, timeout_ms=_LOOK_MS, max_records=_AT_A_TIME)).get(tp, [])
            batch = SummaryBatch.of(records, hidden)
            if steps := list(batch.step_lines(epoch)):
                await writer.insert(STEPS, STEP_COLUMNS, steps, [partition])
            if lines := list(batch.lines(epoch)):
                await writer.insert(TABLE, COLUMNS, lines, [partition])
                stored += len(lines)
    finally:
        await consumer.stop()
    return stored

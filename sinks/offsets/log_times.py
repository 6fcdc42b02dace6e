"""When a record of agent-events was written, and where another topic was by then."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

EARLIER_MS = 10 * 60 * 1000  # the clocks of brokers and processors may differ by so much
_LOOK_MS = 500


async def summaries_since(settings: Settings, partition: int, event_offset: int) -> int:
    """An offset of trace-summaries before every summary that holds the event at `event_offset`, or one behind it.

    The start of the log where the event's record is gone; the end where nothing was written since. Raises KafkaError.
    """
    topics = Topics(settings.topic_prefix)
    events, summaries = TopicPartition(topics.events, partition), TopicPartition(topics.summaries, partition)
    consumer = AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_LOOK_MS,
        max_partition_fetch_bytes=1 << 16,
    )
    try:
        await consumer.start()
        consumer.assign([events])
        starts = await consumer.beginning_offsets([events, summaries])
        if event_offset < starts[events]:
            return starts[summaries]
        consumer.seek(events, event_offset)
        found = (await consumer.getmany(events, timeout_ms=_LOOK_MS, max_records=1)).get(events)
        if not found:
            return starts[summaries]
        since = max(0, found[0].timestamp - EARLIER_MS)
        behind = (await consumer.offsets_for_times({summaries: since}))[summaries]
        return behind.offset if behind else (await consumer.end_offsets([summaries]))[summaries]
    finally:
        await consumer.stop()

"""What Kafka has of agent-events, and how far the sink says that it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.committed_offsets import group_offsets
from axonstream.kafka.errors import TopicMismatchError
from axonstream.kafka.record_identity import decode_note
from axonstream.kafka.topic_admin import partitions_of_the_pipeline
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.offsets.log_records import FETCH_WAIT_MS, records_between


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Positions of one partition: `start` and `end` of the log, `committed` by the sink for events, and `folded`, the
    stored watermark. All were read in this order: committed first, so that what is below it is stored already."""

    partition: int
    committed: int
    folded: int
    start: int
    end: int

    @property
    def visible(self) -> int:
        """Everything below is stored, and in a stored summary."""
        return min(self.committed, self.folded)


class EventsLog:
    """The topic agent-events, read without a group. Use `events_log`."""

    def __init__(self, topic: str, consumer: AIOKafkaConsumer) -> None:
        self._topic = topic
        self._consumer = consumer

    async def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """Where the log of each partition ends now."""
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        return {tp.partition: end for tp, end in (await self._consumer.end_offsets(tps)).items()}

    async def oldest(self, partitions: Sequence[int], since_ms: int | None = None) -> dict[int, int]:
        """The first offset that the log of each partition has now, of records since `since_ms` if that is given."""
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        oldest = await self._consumer.beginning_offsets(tps)
        if since_ms is not None:
            ends = await self._consumer.end_offsets(tps)
            for tp, found in (await self._consumer.offsets_for_times(dict.fromkeys(tps, since_ms))).items():
                oldest[tp] = max(oldest[tp], found.offset if found else ends[tp])
        return {tp.partition: offset for tp, offset in oldest.items()}

    async def records_between(
        self, partition: int, first: int, last: int
    ) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
        """The records that the log still has from `first` to `last`, both included; markers are none.

        What retention deletes meanwhile is left out, and what is behind it is not.
        """
        async for record in records_between(self._consumer, TopicPartition(self._topic, partition), first, last):
            yield record


@asynccontextmanager
async def events_log(settings: Settings) -> AsyncGenerator[tuple[EventsLog, list[PartitionState]]]:
    """The log, and the state of each partition.

    Raises KafkaError when no broker answers, and TopicMismatchError when the topics have not as many partitions as the
    settings say: with fewer in the settings, what the others hold would pass for verified.
    """
    topics = Topics(settings.topic_prefix)
    await _check_partitions(settings, topics)
    committed = await _committed(settings, topics)
    consumer = AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where retention has overtaken a read
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        tps = [TopicPartition(topics.events, partition) for partition in range(settings.topic_partitions)]
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        states = [PartitionState(tp.partition, *committed[tp.partition], starts[tp], ends[tp]) for tp in tps]
        yield EventsLog(topics.events, consumer), states
    finally:
        await consumer.stop()


async def _check_partitions(settings: Settings, topics: Topics) -> None:
    counts = await partitions_of_the_pipeline(settings)
    for topic in (topics.events, topics.summaries):
        if (count := counts.get(topic, settings.topic_partitions)) != settings.topic_partitions:
            raise TopicMismatchError(
                f"topic {topic} has {count} partitions, AXONSTREAM_TOPIC_PARTITIONS says {settings.topic_partitions}: "
                f"set AXONSTREAM_TOPIC_PARTITIONS={count} for this command"
            )


async def _committed(settings: Settings, topics: Topics) -> list[tuple[int, int]]:
    """By partition: the committed offset of the events, and the stored watermark."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    asked = [TopicPartition(t, p) for t in (topics.events, topics.summaries) for p in range(settings.topic_partitions)]
    try:
        await admin.start()
        offsets = await group_offsets(admin, topics.sink_group, asked)
    finally:
        await admin.close()

    def positions(partition: int) -> tuple[int, int]:
        events = offsets[TopicPartition(topics.events, partition)]
        summaries = offsets[TopicPartition(topics.summaries, partition)]
        return max(events.offset, 0), decode_note(summaries.metadata).folded or 0

    return [positions(partition) for partition in range(settings.topic_partitions)]

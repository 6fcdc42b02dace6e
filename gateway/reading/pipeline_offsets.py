"""What Kafka knows of the pipeline's progress: where each partition of the events ends, and how far it can be read.

    visible(p) = min(committed offset of the events sink, watermark up to which summaries are stored)

Both are in the sink group's committed offsets: the watermark is in the metadata of the commit on the summaries topic.
They are offsets of the log that was read. When the leader of a partition, or the connection to it, is another one than
before, the records that the commits name are compared with the log: a log that lost its end and grew again has other
events at the same offsets, of which nothing is visible until the sink and the processor have begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from axonstream.gateway.reading.lag_history import Progress
from axonstream.gateway.reading.leader_questions import LeaderQuestions, ToldEnd
from axonstream.kafka.added_partitions import how_to_follow
from axonstream.kafka.client import kafka_options
from axonstream.kafka.committed_offsets import group_offsets
from axonstream.kafka.leader_watch import Leader
from axonstream.kafka.log_trust import LogTrust
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.record_identity import RecordMark, decode_note, standings
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings

_METADATA_MS = 1000  # partitions that were added are known after it


class PipelineOffsetsError(Exception):
    """Kafka could not say; asking again makes a new connection. The words may be told to anybody: they have no address,
    which the cause may have."""


class PipelineOffsets:
    """Asks Kafka; connects when first asked, and anew after every failure. Every call raises PipelineOffsetsError."""

    def __init__(self, settings: Settings, request_timeout_ms: int = 2000) -> None:
        self._settings = settings
        self._timeout_ms = request_timeout_ms
        self._topics = Topics(settings.topic_prefix)
        self.partitions = range(settings.topic_partitions)
        self._connecting = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._questions: LeaderQuestions | None = None
        self._coordinator = -1
        self._leaders: Mapping[TopicPartition, Leader] = {}
        self._trust = LogTrust(partial(standings, settings))

    def partition_of(self, trace_id: str) -> int:
        """The partition that the producers put this trace's events on."""
        return partition_of(event_key(trace_id), len(self.partitions))

    async def ends(self) -> dict[int, int]:
        """Partition -> the offset that its next event will have; of every partition."""
        told = await self.told_ends()
        if silent := [partition for partition in self.partitions if partition not in told]:
            raise PipelineOffsetsError(f"no leader says where the events end of {named(silent)}")
        return {partition: told[partition].end for partition in self.partitions}

    async def told_ends(self) -> dict[int, ToldEnd]:
        """As `ends`, without the partitions whose leaders do not answer; of one partition at least."""
        consumer, _ = await self._connected()
        questions = self._questions
        asked = [TopicPartition(self._topics.events, p) for p in self.partitions]
        if known := consumer.partitions_for_topic(self._topics.events):
            self._check_count(len(known))
        try:
            told = await questions.ends(asked) if questions else {}
        except (KafkaError, OSError) as error:
            await self.close()
            raise PipelineOffsetsError("Kafka does not tell where the events end") from error
        self._leaders = {**self._leaders, **{tp: end.leader for tp, end in told.items()}}  # what was found stays
        return {tp.partition: end for tp, end in told.items()}

    async def visible(self) -> dict[int, int]:
        """Partition -> the offset below which events and summaries can be read from ClickHouse."""
        return {partition: min(read) for partition, read in (await self.progress()).items()}

    async def progress(self) -> dict[int, Progress]:
        """Partition -> how far its events are stored, and how far they are in stored summaries."""
        _, admin = await self._connected()
        events = [TopicPartition(self._topics.events, p) for p in self.partitions]
        summaries = [TopicPartition(self._topics.summaries, p) for p in self.partitions]
        try:
            committed = await group_offsets(admin, self._topics.sink_group, [*events, *summaries], self._coordinator)
        except (KafkaError, OSError) as error:
            await self.close()
            raise PipelineOffsetsError("Kafka does not tell the sink's offsets") from error
        lost = await self._lost(committed)
        return {
            p: Progress(0, 0) if events[p] in lost else progress_of(committed, events[p], summaries[p])
            for p in self.partitions
        }

    async def _lost(self, committed: Mapping[TopicPartition, OffsetAndMetadata]) -> set[TopicPartition]:
        """The partitions of the events whose log is not the one that the commits speak of.

        The leaders are those that said last where the log ends: what a read waits for is judged by the log it is in.
        """
        marks: dict[TopicPartition, list[RecordMark]] = {}
        for tp in self._leaders:
            stored = decode_note(committed[tp].metadata).last
            folded = decode_note(committed[TopicPartition(self._topics.summaries, tp.partition)].metadata).folded_at
            if some := [mark for mark in (stored, folded) if mark is not None]:
                marks[tp] = some
        try:
            return await self._trust.lost(self._leaders, marks)
        except (KafkaError, OSError) as error:
            raise PipelineOffsetsError("Kafka does not show the events that were stored last") from error

    async def appended_at_ms(self, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Partition and offset -> when Kafka took the record there, or the next one that it still has; ms since 1970.

        A connection of its own, and a fetch for each: for the few questions of a gateway that has just started.
        """
        found: dict[tuple[int, int], int] = {}
        consumer = AIOKafkaConsumer(**kafka_options(self._settings), request_timeout_ms=self._timeout_ms)
        try:
            await consumer.start()
            for partition, offset in places:
                tp = TopicPartition(self._topics.events, partition)
                consumer.assign([tp])
                [start] = (await consumer.beginning_offsets([tp])).values()
                consumer.seek(tp, max(offset, start))
                records = (await consumer.getmany(tp, timeout_ms=self._timeout_ms, max_records=1)).get(tp)
                if records:
                    found[partition, offset] = records[0].timestamp
        except (KafkaError, OSError) as error:
            raise PipelineOffsetsError("Kafka does not tell when its events came") from error
        finally:
            await consumer.stop()
        return found

    async def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        consumer, admin, questions = self._consumer, self._admin, self._questions
        self._consumer = self._admin = self._questions = None
        if questions is not None:
            await questions.close()
        with suppress(KafkaError, OSError):  # a broken connection may be broken in closing, too
            if consumer is not None:
                await consumer.stop()
            if admin is not None:
                await admin.close()

    async def _connected(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        async with self._connecting:
            if self._consumer is not None and self._admin is not None:
                return self._consumer, self._admin
            options = kafka_options(self._settings)
            consumer = AIOKafkaConsumer(
                **options,
                request_timeout_ms=self._timeout_ms,
                enable_auto_commit=False,
                metadata_max_age_ms=_METADATA_MS,
            )
            admin = AIOKafkaAdminClient(**options, request_timeout_ms=self._timeout_ms)
            try:
                await consumer.start()
                await admin.start()
                await self._check_partitions(admin)
                self._coordinator = await admin.find_coordinator(self._topics.sink_group)
            except BaseException as error:
                await consumer.stop()
                await admin.close()
                if isinstance(error, (KafkaError, OSError, TimeoutError)):
                    raise PipelineOffsetsError("Kafka cannot be reached") from error
                raise
            self._consumer, self._admin = consumer, admin
            self._questions = LeaderQuestions(consumer._client, self._timeout_ms / 1000)
            return consumer, admin

    async def _check_partitions(self, admin: AIOKafkaAdminClient) -> None:
        [topic] = await admin.describe_topics([self._topics.events])
        self._check_count(len(topic["partitions"]))

    def _check_count(self, count: int) -> None:
        """A trace in a partition that nobody waits for would be called unknown."""
        if count != len(self.partitions):
            raise PipelineOffsetsError(
                f"{self._topics.events} has {count} partitions on Kafka, the settings say {len(self.partitions)}: "
                f"{how_to_follow(count)}"
            )


def named(partitions: Sequence[int]) -> str:
    """`partition 3`, or `partitions 3, 5`."""
    return f"partition{'s' if len(partitions) > 1 else ''} {', '.join(map(str, partitions))}"


def progress_of(
    committed: Mapping[TopicPartition, OffsetAndMetadata], events: TopicPartition, summaries: TopicPartition
) -> Progress:
    """The events sink's offset, and the stored watermark; 0 where the sink has not committed yet."""
    return Progress(max(committed[events].offset, 0), decode_note(committed[summaries].metadata).folded or 0)


def visible_offset(
    committed: Mapping[TopicPartition, OffsetAndMetadata], events: TopicPartition, summaries: TopicPartition
) -> int:
    """Up to where both have come."""
    return min(progress_of(committed, events, summaries))

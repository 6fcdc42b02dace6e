"""The committed offsets of the sinks, put right while none runs: what `axonstream init` does with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.committed_offsets import heed_whole_answers
from axonstream.kafka.record_identity import CommitNote, decode_note, standings
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting.control_deletions import following
from axonstream.sinks.errors import EpochError
from axonstream.sinks.offsets.offset_ledger import NOTHING_STORED
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.starting.common_part import common_end
from axonstream.sinks.starting.lost_ends import after_lost_end, summaries_again

log = logging.getLogger(__name__)

_BEYOND_SESSION_S = 3.0
_BETWEEN_TRIES_S = 0.5

_HIGHEST = """SELECT count(), max(_offset) FROM events_log
WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}"""


@asynccontextmanager
async def sink_offsets(settings: Settings) -> AsyncGenerator[SinkOffsets]:
    """What the sinks' group has committed on both topics. Raises KafkaError."""
    topics = Topics(settings.topic_prefix)
    wanted = [TopicPartition(t, p) for t in (topics.events, topics.summaries) for p in range(settings.topic_partitions)]
    consumer = AIOKafkaConsumer(**kafka_options(settings), group_id=topics.sink_group, enable_auto_commit=False)
    try:
        await consumer.start()
        heed_whole_answers(consumer)
        coordinator: Any = consumer._coordinator
        yield SinkOffsets(settings, consumer, await coordinator.fetch_committed_offsets(wanted))
    finally:
        await consumer.stop()


class SinkOffsets:
    """Use `sink_offsets`. Whatever commits raises EpochError while a sink is running."""

    def __init__(
        self,
        settings: Settings,
        consumer: AIOKafkaConsumer,
        committed: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        topics = Topics(settings.topic_prefix)
        self._events = [TopicPartition(topics.events, p) for p in range(settings.topic_partitions)]
        self._summaries = [TopicPartition(topics.summaries, p) for p in range(settings.topic_partitions)]
        self._committed = {tp: committed[tp] for tp in (*self._events, *self._summaries) if tp in committed}

    def notes(self) -> list[CommitNote]:
        """What the commits say."""
        return [decode_note(found.metadata) for found in self._committed.values()]

    async def commit_log_starts(self, own: str) -> None:
        """Everything is read from where the logs begin, into the database `own`."""
        starts = await self._consumer.beginning_offsets([*self._events, *self._summaries])
        await self._commit({tp: OffsetAndMetadata(start, self._note(tp, own)) for tp, start in starts.items()})

    async def mend(self, client: AsyncClient, epoch: int, own: str, *, new: bool) -> None:
        """Set what is missing to where the tables of `own` say; with `new` also what no sink goes on from."""
        starts = await self._consumer.beginning_offsets([*self._events, *self._summaries])
        ends = await self._consumer.end_offsets([*self._events, *self._summaries])
        put: dict[TopicPartition, OffsetAndMetadata] = {}
        lost = await self._lost() if new else set()
        for tp in (*self._events, *self._summaries):
            position = self._position(tp, own, starts[tp], ends[tp], new=new)
            if position is not None and not new:
                continue
            if tp in self._events:
                found = await self._of_events(
                    client, epoch, tp, position, starts[tp], ends[tp], own, is_lost=tp in lost
                )
            else:
                found = None if position is not None and tp not in lost else starts[tp]
            if found is not None:
                put[tp] = (
                    found if isinstance(found, OffsetAndMetadata) else OffsetAndMetadata(found, self._note(tp, own))
                )
        if put:
            await self._commit(put)
            for tp, offset in put.items():
                log.info("%s partition %s goes on at %s", *tp, offset.offset)

    async def _lost(self) -> set[TopicPartition]:
        marks = {tp: [mark] for tp, found in self._committed.items() if (mark := decode_note(found.metadata).last)}
        return {tp for (tp, _), standing in (await standings(self._settings, marks)).items() if standing.lost_its_end}

    def _position(self, tp: TopicPartition, own: str, start: int, end: int, *, new: bool) -> Position | None:
        """None where nothing is committed, or nothing that this database goes on from."""
        found = self._committed.get(tp)
        if found is None or decode_note(found.metadata).clickhouse not in ("", own):
            return None
        if new and tp in self._summaries and not start <= found.offset <= end:
            return None
        return Position(tp, found.offset, found.metadata, start, end)

    async def _of_events(
        self,
        client: AsyncClient,
        epoch: int,
        tp: TopicPartition,
        position: Position | None,
        start: int,
        end: int,
        own: str,
        *,
        is_lost: bool,
    ) -> OffsetAndMetadata | None:
        """None where what is committed stays."""
        parameters = {"epoch": epoch, "partition": tp.partition}
        ((count, highest),) = (await client.query(_HIGHEST, parameters=parameters)).result_rows
        ceiling: int = highest if count else NOTHING_STORED
        if position is None:  # a sink compares what is below with the log, and fills what is missing
            position = Position(tp, max(start, ceiling + 1), self._note(tp, own), start, end)
            is_lost = position.committed > end or (
                bool(count) and await common_end(self._settings, client, epoch, tp, ceiling + 1) <= ceiling
            )
        elif not is_lost and start <= position.committed and max(position.committed, ceiling + 1) <= end:
            return None
        elif position.committed < start:
            return OffsetAndMetadata(start, self._note(tp, own))
        if is_lost or max(position.committed, ceiling + 1) > end:
            rewind = partial(self._rewind_summaries, tp.partition)
            async with following(self._settings) as deletions:
                position = await after_lost_end(self._settings, epoch, position, ceiling + 1, rewind, deletions.deleted)
            return OffsetAndMetadata(position.committed, replace(position.note, clickhouse=own).encode())
        return OffsetAndMetadata(position.committed, position.metadata)

    async def _rewind_summaries(self, partition: int, since: int) -> None:
        tp = self._summaries[partition]
        if (found := self._committed.get(tp)) is None:
            return
        [start] = (await self._consumer.beginning_offsets([tp])).values()
        [end] = (await self._consumer.end_offsets([tp])).values()
        place = await summaries_again(self._settings, Position(tp, found.offset, found.metadata, start, end), since)
        await self._commit({tp: place})
        self._committed[tp] = place

    def _note(self, tp: TopicPartition, own: str) -> str:
        return CommitNote(folded=0 if tp in self._summaries else None, clickhouse=own).encode()

    async def _commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """A sink that was stopped is a member of its group until its session has ended: so long it is tried again."""
        self._consumer.assign(list(offsets))
        ends_at = monotonic() + self._settings.session_timeout_ms / 1000 + _BEYOND_SESSION_S
        while True:
            try:
                await self._consumer.commit(dict(offsets))
            except CommitFailedError as error:
                if monotonic() > ends_at:
                    raise EpochError("a sink is running: stop the sinks, then run `axonstream init` again") from error
                await asyncio.sleep(_BETWEEN_TRIES_S)
            else:
                return

"""Store again what ClickHouse has lost and Kafka still has, of any range: what a sink does when it begins, on demand.

Events are stored once because a partition has one owner. So a repair joins the group of the sinks as one more of them:
all begin anew, and each compares and mends what it owns. That works with many sinks and with none. Summaries may be
stored again by anybody.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from time import time

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect
from axonstream.kafka.client import kafka_options
from axonstream.kafka.committed_offsets import group_offsets
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.offsets.comparison import SLOWEST_ANSWER_S, Comparison
from axonstream.sinks.offsets.gaps import Gap
from axonstream.sinks.offsets.log_times import summaries_since
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.summaries.stored_summaries import store_summaries_from
from axonstream.sinks.summaries.summary_lines import HiddenSummaries
from axonstream.sinks.summaries.uncovered import first_uncovered
from axonstream.sinks.verification.deleted import known_deletions
from axonstream.sinks.verification.log_state import EventsLog, PartitionState, events_log
from axonstream.sinks.worker import work_until

_POLL_S = 0.5
_A_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Range:
    """Of agent-events: both offsets are included; None: as far as Kafka goes. No `partitions` are all."""

    partitions: Collection[int] = ()
    first: int | None = None
    last: int | None = None

    def takes(self, partition: int) -> bool:
        return not self.partitions or partition in self.partitions


@dataclass
class Repaired:
    """`looked_at` offsets of events were in no table: each is stored now, or the log has no record for it.

    `summaries` were stored again. `without_summary` has, by partition, the first event that is in no summary, where
    Kafka has no summary of it any more.
    """

    looked_at: int = 0
    summaries: int = 0
    without_summary: dict[int, int] = field(default_factory=dict[int, int])

    @property
    def whole(self) -> bool:
        return not self.without_summary


Progress = Callable[[int], None]


async def repair(settings: Settings, which: Range, progress: Progress) -> Repaired:
    """Returns when nothing of the range is missing that Kafka has. `progress` is told how many offsets are left.

    Raises SinkError, ProducerError, KafkaError and clickhouse_connect's errors; what is stored until then stays, and a
    repair may be begun again.
    """
    result = Repaired()
    client = await connect(settings, SLOWEST_ANSWER_S)
    try:
        epoch = await current_epoch(settings, client)
        async with events_log(settings) as (log, all_states), known_deletions(settings, client) as deletions:
            states = [state for state in all_states if which.takes(state.partition)]
            comparison = Comparison(client, Topics(settings.topic_prefix).events, epoch)

            async def gaps() -> dict[int, list[Gap]]:
                return await comparison.gaps(await _bounds(settings, log, states, which))

            if found := await gaps():
                result.looked_at = _offsets(found)
                progress(result.looked_at)
                await _work_until_whole(settings, gaps, progress)
            for state in states:
                await _repair_summaries(settings, client, epoch, state, deletions.hidden, result)
    finally:
        await client.close()
    return result


async def _work_until_whole(
    settings: Settings, gaps: Callable[[], Awaitable[dict[int, list[Gap]]]], progress: Progress
) -> None:
    """Beside filling the gaps, the sink may go back in the summaries: it works until it has read them again. Stopped
    before, it would leave reads stale that were not, until a sink runs.
    """
    before = await _read_of_summaries(settings)

    async def unfinished() -> int:
        if left := _offsets(await gaps()):
            progress(left)
        return left or any(now < before[tp] for tp, now in (await _read_of_summaries(settings)).items())

    while await unfinished():
        await _work_while(settings, unfinished)  # it may have gone back at the very end


async def _work_while(settings: Settings, unfinished: Callable[[], Awaitable[int]]) -> None:
    """A sink of its own works meanwhile. Returns when it has stopped, also by itself."""
    name = f"repair-{socket.gethostname()}-{os.getpid()}"
    stop = asyncio.Event()
    sink = asyncio.create_task(work_until(settings.model_copy(update={"sink_instance": name}), stop))
    try:
        while not sink.done() and await unfinished():
            await asyncio.wait([sink], timeout=_POLL_S)
    finally:
        stop.set()
        await sink


async def _read_of_summaries(settings: Settings) -> dict[TopicPartition, int]:
    """How far the sinks have read trace-summaries, by what they have committed."""
    topics = Topics(settings.topic_prefix)
    partitions = [TopicPartition(topics.summaries, number) for number in range(settings.topic_partitions)]
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        return {tp: place.offset for tp, place in (await group_offsets(admin, topics.sink_group, partitions)).items()}
    finally:
        await admin.close()


async def _bounds(
    settings: Settings, log: EventsLog, states: Collection[PartitionState], which: Range
) -> dict[int, tuple[int, int]]:
    """What Kafka has now of the range, below what was committed when the repair began, and is not expired."""
    days = settings.events_ttl_days
    since = int(time() * 1000) - days * _A_DAY_MS if settings.topic_retention_hours > 24 * days else None
    oldest = await log.oldest([state.partition for state in states], since)
    return {
        state.partition: (
            max(oldest[state.partition], which.first or 0),
            state.committed if which.last is None else min(state.committed, which.last + 1),
        )
        for state in states
    }


async def _repair_summaries(
    settings: Settings,
    client: AsyncClient,
    epoch: int,
    state: PartitionState,
    hidden: HiddenSummaries,
    result: Repaired,
) -> None:
    partition = state.partition
    lacks = await first_uncovered(client, epoch, partition, state.folded, hidden, everything=True)
    if lacks is None:
        return
    start = await summaries_since(settings, partition, lacks)
    result.summaries += await store_summaries_from(settings, client, epoch, partition, start, hidden)
    lacks = await first_uncovered(client, epoch, partition, state.folded, hidden, everything=True)
    if lacks is not None:
        result.without_summary[partition] = lacks


def _offsets(gaps: dict[int, list[Gap]]) -> int:
    return sum(gap.last - gap.first + 1 for some in gaps.values() for gap in some)

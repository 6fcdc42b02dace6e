"""Ask Kafka what `start_of` must know of each partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from axonstream.kafka.record_identity import CommitNote, RecordMark, Standing, decode_note, standings
from axonstream.process.fail_stop import FailStop
from axonstream.settings.settings import Settings
from axonstream.stream_processors.start_position import Compared, Known, Start, start_of
from axonstream.stream_processors.summaries_end import last_watermarks

log = logging.getLogger(__name__)

RETRY_S = 0.5

Committed = Callable[[Collection[TP]], Awaitable[Mapping[TP, OffsetAndMetadata]]]


class Recovered(Protocol):
    """What the changelogs say, by partition."""

    @property
    def folded(self) -> Mapping[int, CommitNote]: ...
    @property
    def rebuild(self) -> Collection[int]: ...
    def earliest(self, partition: int, since: int) -> int | None: ...


class Log(Protocol):
    """Where the logs of partitions begin and end."""

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]: ...
    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]: ...


async def found_starts(
    settings: Settings,
    partitions: Collection[TP],
    committed_of: Committed,
    states: Recovered,
    log: Log,
) -> dict[TP, tuple[Known, Start]]:
    """Of partitions whose states are recovered.

    The ends of the logs are asked for last: nothing that was folded can be beyond them.

    Raises KafkaError when Kafka does not answer in time, BrokenInvariantError as `start_of`.
    """
    committed = await committed_of(partitions)
    summaries = await last_watermarks(settings, {tp.partition for tp in partitions})
    begins, ends = await log.earliest_offsets(*partitions), await log.highwaters(*partitions)
    known = {
        tp: Known(
            begins[tp],
            ends[tp],
            committed[tp].offset if tp in committed else None,
            decode_note(committed[tp].metadata) if tp in committed and committed[tp].metadata else None,
            states.folded.get(tp.partition),
            summaries[tp.partition],
            tp.partition in states.rebuild,
            earliest_unsaid(states, tp.partition, summaries[tp.partition]),
        )
        for tp in partitions
    }
    compared = await _compared(settings, {tp: of.marks() for tp, of in known.items()})
    return {
        tp: (of, start_of(f"{tp.topic} partition {tp.partition}", of, compared.get(tp, ()))) for tp, of in known.items()
    }


def earliest_unsaid(states: Recovered, partition: int, summaries: CommitNote | None) -> int | None:
    """Where the first state began of those that say more than the summaries; None where none does."""
    note = states.folded.get(partition)
    said = None if summaries is None else summaries.folded
    if note is None or said is None or (note.folded or 0) <= said:
        return None
    return states.earliest(partition, said)


async def found_in_the_end(
    find: Callable[[], Awaitable[dict[TP, tuple[Known, Start]]]], wanted: Callable[[], bool]
) -> dict[TP, tuple[Known, Start]]:
    """What `find` found; it is called again while Kafka does not answer. Nothing once it is not `wanted` any more.

    Ends the process when an invariant is broken.
    """
    while wanted():
        try:
            with FailStop(but=KafkaError):
                return await find()
        except KafkaError as error:
            log.warning("cannot find out how far partitions were folded, asking again: %r", error)
            await asyncio.sleep(RETRY_S)
    return {}


async def _compared(settings: Settings, marks: Mapping[TP, Collection[RecordMark]]) -> dict[TP, Compared]:
    found: dict[TP, list[tuple[RecordMark, Standing]]] = {}
    asked = {TopicPartition(*tp): of for tp, of in marks.items() if of}
    for (tp, mark), standing in (await standings(settings, asked)).items():
        found.setdefault(TP(*tp), []).append((mark, standing))
    return dict(found.items())

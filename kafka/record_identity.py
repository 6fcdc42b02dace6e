"""Which record stood at an offset: what a commit says of it, and whether it is still the one that the log has.

An offset is a number. A log that lost its end (a power cut, an unclean election, a restored volume) and grew again has
other records at the same numbers. So every commit of ours says in its metadata which record it was made after, and
whoever goes on from a commit compares first.

    note of a commit  = JSON object, `{"v":1, "at":[offset, digest, leader epoch], "folded":7, ...}`
    digest            = 16 hex digits over key, value and timestamp of the record

Only parts of a note that are known are written, and a reader passes over what it does not know. An empty metadata, and
the decimal watermark that summaries were committed with before, are notes too: of no record.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, RequestTimedOutError

from axonstream.kafka.client import kafka_options
from axonstream.settings.settings import Settings

FORMAT = 1
NO_EPOCH = -1  # the leader epoch was not known
SHORT_DIGEST_BYTES = 4
_DIGEST_BYTES = 8
_NO_KEY = b"\x00"
_A_KEY = b"\x01"
_LOOK_MS = 250
_LOOK_TIMEOUT_S = 10.0
_REQUEST_TIMEOUT_MS = 10_000
_HEADER_BYTES = 16  # of a batch: base offset 8, length 4, leader epoch 4
_LENGTH_AT, _EPOCH_AT = 8, 12


class IdentifiedRecord(Protocol):
    """What is hashed of a record, and its place. Headers are left out: nothing of ours depends on them."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class RecordMark(NamedTuple):
    """One record: its offset, its digest, and the epoch of the leader that took it (NO_EPOCH where not known)."""

    offset: int
    digest: str
    leader_epoch: int = NO_EPOCH


@dataclass(frozen=True, slots=True)
class CommitNote:
    """What the metadata of a commit says.

    `last`: the last record below the committed offset, of the same log; markers of transactions may stand between them.
    `folded`: the watermark, for commits on trace-summaries, and `folded_at` the last event below it. `clickhouse` names
    the database that holds what was committed. None or "" where the commit does not say.
    """

    last: RecordMark | None = None
    folded: int | None = None
    clickhouse: str = ""
    folded_at: RecordMark | None = None

    def encode(self) -> str:
        """The metadata to commit; 300 bytes at most, where Kafka takes 4096."""
        parts: dict[str, Any] = {"v": FORMAT}
        if self.last is not None:
            parts["at"] = list(self.last)
        if self.folded is not None:
            parts["folded"] = self.folded
        if self.folded_at is not None:
            parts["folded_at"] = list(self.folded_at)
        if self.clickhouse:
            parts["clickhouse"] = self.clickhouse
        return json.dumps(parts, separators=(",", ":"))

    def after(self, record: IdentifiedRecord, leader_epoch: int = NO_EPOCH) -> CommitNote:
        """The same note, made after `record`."""
        return replace(self, last=mark_of(record, leader_epoch))


class Standing(Enum):
    """How the log of now is related to a commit."""

    SAME = "the record is there"
    OTHER = "another record is there: the log lost its end and grew again"
    SHORT = "the log ends before it: the log lost its end"
    GONE = "retention has deleted it: nothing is known of what stood there"
    UNKNOWN = "the commit names no record"

    @property
    def lost_its_end(self) -> bool:
        """Whether what was committed is not what the log has. GONE and UNKNOWN are no proof of it."""
        return self in (Standing.OTHER, Standing.SHORT)


def mark_of(record: IdentifiedRecord, leader_epoch: int = NO_EPOCH) -> RecordMark:
    """The mark of a record that was read from Kafka. Takes about 1 us, and 1 ms for a megabyte."""
    return RecordMark(record.offset, _digest(record).hex(), leader_epoch)


def short_digest(record: IdentifiedRecord) -> bytes:
    """The beginning of the record's digest, where many have to fit: one of 4 billion other records has the same."""
    return _digest(record)[:SHORT_DIGEST_BYTES]


def _digest(record: IdentifiedRecord) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    key = record.key
    digest.update(_NO_KEY if key is None else _A_KEY + len(key).to_bytes(4, "big") + key)
    digest.update(record.timestamp.to_bytes(8, "big", signed=True))
    digest.update(record.value or b"")
    return digest.digest()


def decode_note(metadata: str | None) -> CommitNote:
    """What a commit says. Never raises: a metadata that is not understood says nothing."""
    text = metadata or ""
    if text.isascii() and text.isdecimal():
        return CommitNote(folded=int(text))
    try:
        parsed: Any = json.loads(text) if text.startswith("{") else None
    except ValueError:
        return CommitNote()
    if not isinstance(parsed, dict):
        return CommitNote()
    parts = cast("dict[str, Any]", parsed)
    if parts.get("v") != FORMAT:
        return CommitNote()
    return CommitNote(
        mark_from(parts.get("at")),
        _number(parts.get("folded")),
        str(parts.get("clickhouse", "")),
        mark_from(parts.get("folded_at")),
    )


def mark_from(parts: Any) -> RecordMark | None:
    """A mark as it stands in JSON; None for anything else."""
    match parts:
        case [int(offset), str(digest), int(leader_epoch), *_]:
            return RecordMark(offset, digest, leader_epoch)
        case _:
            return None


def _number(part: Any) -> int | None:
    return part if isinstance(part, int) and not isinstance(part, bool) and part >= 0 else None


def later_of(one: RecordMark | None, other: RecordMark | None) -> RecordMark | None:
    """The mark with the higher offset: a log that still has its record still has what is below, too."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda mark: mark.offset)


def stands(mark: RecordMark, found: IdentifiedRecord | None) -> bool:
    """Whether `found`, the first record at or after the mark's offset, is the record of the mark."""
    if found is None or found.offset != mark.offset:
        return False
    return mark_of(found).digest == mark.digest


Marks = Mapping[TopicPartition, Iterable[RecordMark]]


async def standings(settings: Settings, marks: Marks) -> dict[tuple[TopicPartition, RecordMark], Standing]:
    """Compare each mark with the log of now, through a consumer of its own.

    Raises KafkaError when Kafka does not answer in time: nothing is known then, and whoever asked must ask again.
    """
    wanted = {(tp, mark) for tp, some in marks.items() for mark in some}
    if not wanted:
        return {}
    async with _consumer(settings) as consumer:
        partitions = list({tp for tp, _ in wanted})
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[tuple[TopicPartition, RecordMark], Standing] = {}
        for tp, mark in wanted:
            if mark.offset >= ends[tp]:
                found[tp, mark] = Standing.SHORT
            elif mark.offset < starts[tp]:
                found[tp, mark] = Standing.GONE
        looked_at = [(tp, mark) for tp, mark in wanted if (tp, mark) not in found]
        records = await _records_at(consumer, {(tp, mark.offset) for tp, mark in looked_at})
        for tp, mark in looked_at:
            found[tp, mark] = Standing.SAME if stands(mark, records[tp, mark.offset]) else Standing.OTHER
        return found


async def marks_before(settings: Settings, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, RecordMark]:
    """The mark of the record just below each offset, where there is one: no marker, and not deleted by retention.

    Raises KafkaError.
    """
    if not offsets:
        return {}
    async with _consumer(settings) as consumer:
        starts = await consumer.beginning_offsets(list(offsets))
        ends = await consumer.end_offsets(list(offsets))
        places = {(tp, offset - 1) for tp, offset in offsets.items() if starts[tp] < offset <= ends[tp]}
        records = await _records_at(consumer, places)
    return {
        tp: mark_of(record)
        for (tp, offset), record in records.items()
        if record is not None and record.offset == offset
    }


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        fetch_max_wait_ms=_LOOK_MS,
    )
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT_S):
            await consumer.start()
            yield consumer
    except TimeoutError as error:
        raise RequestTimedOutError("the log cannot be compared with what was committed") from error
    finally:
        await consumer.stop()


async def _records_at(
    consumer: AIOKafkaConsumer, places: Collection[tuple[TopicPartition, int]]
) -> dict[tuple[TopicPartition, int], IdentifiedRecord | None]:
    """The first record at or after each offset; None where only markers follow, up to the end of the log.

    Of each partition one place is looked at, then the next.
    """
    found: dict[tuple[TopicPartition, int], IdentifiedRecord | None] = {}
    missing = set(places)
    while missing:
        round_of = dict(missing)
        ends = await consumer.end_offsets(list(round_of))
        consumer.assign(list(round_of))
        for tp, offset in round_of.items():
            consumer.seek(tp, offset)
        for tp, offset in round_of.items():
            try:
                records = await consumer.getmany(tp, timeout_ms=_LOOK_MS, max_records=1)
            except OffsetOutOfRangeError:  # retention, or a log that has become shorter since: ask again
                raise RequestTimedOutError(f"{tp} has changed while it was looked at") from None
            if records.get(tp):
                found[tp, offset] = cast("IdentifiedRecord", records[tp][0])
            elif await consumer.position(tp) >= ends[tp]:
                found[tp, offset] = None
            else:
                continue
            missing.discard((tp, offset))
    return found


def leader_epochs(batches: bytes) -> Iterable[tuple[int, int]]:
    """The (base offset, leader epoch) of each batch in the bytes of a fetch; one that is cut short ends it."""
    at, end = 0, len(batches)
    while at + _HEADER_BYTES <= end:
        length = int.from_bytes(batches[at + _LENGTH_AT : at + _EPOCH_AT], "big")
        yield (
            int.from_bytes(batches[at : at + _LENGTH_AT], "big"),
            int.from_bytes(batches[at + _EPOCH_AT : at + _HEADER_BYTES], "big", signed=True),
        )
        at += _EPOCH_AT + length

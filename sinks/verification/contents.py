"""What stands at a place: the row against the record of the log, field by field, by a hash of each.

Offsets alone do not tell: a log that lost its end and grew again has other records at the same offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.record_validation import runs
from axonstream.event_fields import FIELDS, Amount, ChannelNumber, Choice, ForeignId, Object, Text, Time, Whole
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.read_record import ReadRecord
from axonstream.sinks.verification.findings import Finding, Kind, Verification
from axonstream.sinks.verification.log_state import EventsLog, PartitionState

ENDS = 500  # offsets at either end of a partition that are always compared
OFFSETS_AT_A_TIME = 50_000  # of a partition; the hashes of as many are in memory

_TEXTS = tuple(field.name for field in FIELDS if isinstance(field.kind, Text | Choice | ForeignId))
_OBJECTS = tuple(field.name for field in FIELDS if isinstance(field.kind, Object))  # kept as the bytes that were sent
_NUMBERS = tuple(field.name for field in FIELDS if isinstance(field.kind, Whole | ChannelNumber))
_AMOUNTS = tuple(field.name for field in FIELDS if isinstance(field.kind, Amount))
_TIMES = tuple(field.name for field in FIELDS if isinstance(field.kind, Time))
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)

# Each field with its length, so that no two rows run together into one text.
_FIELDS = [
    *_TEXTS,
    *_OBJECTS,
    *(f"ifNull(toString({name}), '')" for name in (*_NUMBERS, *_AMOUNTS)),
    *(f"toString(toUnixTimestamp64Milli({name}))" for name in _TIMES),
]
_HASHED = "SHA256(concat(" + ", ".join(f"toString(length({field})), ':', {field}" for field in _FIELDS) + "))"

_ROWS = f"""SELECT _offset, toString(event_id), {_HASHED} FROM events_log
WHERE _topic_epoch = {{epoch:UInt32}} AND _partition = {{partition:UInt32}}
AND _offset BETWEEN {{first:Int64}} AND {{last:Int64}}"""  # noqa: S608  constants only

_LETTERS = """SELECT offset, SHA256(value) FROM dead_letters FINAL
WHERE topic = {topic:String} AND _topic_epoch = {epoch:UInt32} AND partition = {partition:UInt32}
AND offset BETWEEN {first:Int64} AND {last:Int64}"""


def hash_of_line(line: bytes) -> bytes:
    """Of the line that the sink would store; `_ROWS` makes the same of the row. Takes about 10 us."""
    fields = _LINE.decode(line)
    parts = [_text(fields, name) for name in _TEXTS]
    parts += [bytes(fields[name]) if name in fields else b"" for name in _OBJECTS]
    parts += [bytes(fields[name]) if name in fields else b"" for name in _NUMBERS]
    parts += [_text(fields, name) for name in _AMOUNTS]
    for name in _TIMES:
        seconds, _, milliseconds = bytes(fields[name])[1:-1].partition(b".")
        parts.append(b"%d" % (int(seconds) * 1000 + int(milliseconds)))
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


def _text(fields: dict[str, msgspec.Raw], name: str) -> bytes:
    return _TEXT.decode(fields[name]).encode() if name in fields else b""


class Contents:
    """Compares what both have; what one of them lacks is for StoredOffsets to find, but rows without a record."""

    def __init__(self, settings: Settings, client: AsyncClient, epoch: int, result: Verification) -> None:
        self._topic = Topics(settings.topic_prefix).events
        self._client = client
        self._epoch = epoch
        self._result = result

    async def check(self, log: EventsLog, states: Sequence[PartitionState], *, deep: bool) -> None:
        """Adds what differs to the result. Both ends of each partition, or everything that Kafka has, with `deep`."""
        for state in states:
            for first, end in _stretches(state.start, state.committed, deep=deep):
                for at in range(first, end, OFFSETS_AT_A_TIME):
                    await self._compare(log, state.partition, at, min(end, at + OFFSETS_AT_A_TIME) - 1)

    async def _compare(self, log: EventsLog, partition: int, first: int, last: int) -> None:
        rows = await self._by_offset(_ROWS, partition, first, last)
        letters = await self._by_offset(_LETTERS, partition, first, last)
        without_record = set(rows)
        records: list[ReadRecord] = []
        async for record in log.records_between(partition, first, last):
            without_record.discard(record.offset)
            records.append(record)
            if len(records) == OFFSETS_AT_A_TIME // 10:
                self._judge(partition, records, rows, letters)
                records = []
        self._judge(partition, records, rows, letters)
        if without_record:  # unless retention has deleted it meanwhile
            start = (await log.oldest([partition]))[partition]
            for offset in sorted(offset for offset in without_record if offset >= start):
                self._differs(partition, offset, f"a row of event {rows[offset][0]}, and the log has no record there")

    def _judge(
        self, partition: int, records: Sequence[ReadRecord], rows: dict[int, Any], letters: dict[int, Any]
    ) -> None:
        batch = EventBatch(self._epoch)
        for run in runs(records):
            batch.add(run)
        for row in batch.rows:
            self._result.compared += 1
            offset = row.record.offset
            if offset in rows and rows[offset][-1] != hash_of_line(row.line):
                event_id = bytes(_LINE.decode(row.line)["event_id"]).decode()
                what = "its content differs" if rows[offset][0] == event_id else f"the log has event {event_id}"
                self._differs(partition, offset, f"a row of event {rows[offset][0]}: {what}")
            elif offset not in rows and offset in letters:
                self._letter(partition, row.record, letters)
        for letter in batch.refused:
            self._result.compared += 1
            if letter.offset in rows:
                what = f"a row of event {rows[letter.offset][0]}, and the record is not an event: {letter.reason}"
                self._differs(partition, letter.offset, what)
            elif letter.offset in letters:
                self._letter(partition, letter, letters)

    def _letter(self, partition: int, record: ReadRecord | DeadLetter, letters: dict[int, Any]) -> None:
        if letters[record.offset][-1] != sha256(record.value or b"").digest():
            self._differs(partition, record.offset, "a dead letter of another record than the log has")

    def _differs(self, partition: int, offset: int, what: str) -> None:
        self._result.add(Finding(Kind.DIFFERENT, f"{self._topic} {partition}@{offset}", what))

    async def _by_offset(self, sql: str, partition: int, first: int, last: int) -> dict[int, Sequence[Any]]:
        given = {"topic": self._topic, "epoch": self._epoch, "partition": partition, "first": first, "last": last}
        return {row[0]: row[1:] for row in (await self._client.query(sql, parameters=given)).result_rows}


def _stretches(start: int, end: int, *, deep: bool) -> Iterable[tuple[int, int]]:
    """From the first to below the second offset, each."""
    if start >= end:
        return []
    if deep or end - start <= 2 * ENDS:
        return [(start, end)]
    return [(start, start + ENDS), (end - ENDS, end)]

"""The places in Kafka's log from which a live stream resumes, so that nothing is missed and nothing comes twice.

A position says for each partition which offset comes next, and which record was read last: a log that lost its end and
grew again has other records at the same offsets. The stream of a trace needs its partition alone; any other stream may
get events of every partition, so its position is the vector of all of them. A position carries the mark of its log
(cluster and topic incarnation), because an offset means nothing in another one.

    kind (1 byte) | mark of the log (6 bytes) | time (6 bytes) | varint | places | 0x80 | zeros
    kind 3, a trace:   the varint is its partition, one place
    kind 4, a vector:  the varint is the number of partitions, a place of each
    place:             digest of the last record (4 bytes) | varint: offset | varint: how far back that record stands
    time:              of the newest record that was read, in ms since 1970; 0 where none is known. Older as long
                       as a partition has not shown that it still has its last record

Kinds 1 and 2 have no time, and places that are offsets alone. Versions before this one made them; a vector of more than
MOST_NAMED partitions is still one, so that it fits into a request's head.

The offsets count the events of all tenants, so a reader gets its position sealed (`sealed_texts`), as the event id, and
another text each time. The zeros give every position of a kind one length: the length of a text must not tell how
large the offsets are.
Partitions that a vector does not know were added later: they are read from their start.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple

from axonstream.event_contract import MAX_ID
from axonstream.kafka.record_identity import SHORT_DIGEST_BYTES

Positions = dict[int, int]  # partition -> offset of the next event

MOST_PARTITIONS = 10_000
MOST_NAMED = 4_000
_MARK_BYTES = 6
_TIME_BYTES = 6
_OFFSET_BYTES = 5  # of a varint below 34 billion; a position with larger ones is longer
_BACK_BYTES = 1  # of a varint below 128
_PLACE_BYTES = SHORT_DIGEST_BYTES + _OFFSET_BYTES + _BACK_BYTES
_END = b"\x80"
_NAMED = 2  # is added to the kind of a position whose places name records
_NO_DIGEST = bytes(SHORT_DIGEST_BYTES)


class Kind(IntEnum):
    """What an event's id is good for."""

    TRACE = 1
    VECTOR = 2


class PositionError(ValueError):
    """Not a position of this log; the message says what it is instead."""


class Place(NamedTuple):
    """Where a partition is read on: at `offset`. The record that was read last stands `back` offsets before it, with
    markers of transactions at most in between, and has `digest`. Without a digest that record is not known.
    """

    offset: int
    back: int = 0
    digest: bytes = b""

    @property
    def last(self) -> int:
        """The offset of the record that was read last; only where there is a digest."""
        return self.offset - self.back

    @property
    def next(self) -> int:
        """The first offset that can have a record that was not read."""
        return self.last + 1 if self.digest else self.offset

    def encoded(self) -> bytes:
        return (self.digest or _NO_DIGEST) + _varint(self.offset) + _varint(self.back)


class Position(NamedTuple):
    """What a position says. `newest_ms`: when the newest record was appended that its reader has had; 0: not known."""

    kind: Kind
    places: dict[int, Place]
    newest_ms: int = 0


def mark_of(cluster_id: str, topic_id: str) -> bytes:
    """The mark that positions of this log carry."""
    return blake2b(f"{cluster_id}\x00{topic_id}".encode(), digest_size=_MARK_BYTES).digest()


def head_of(kind: Kind, mark: bytes) -> bytes:
    """How the positions of this kind begin, whose places name records."""
    return bytes((kind + _NAMED,)) + mark


def trace_position(head: bytes, newest_ms: int, partition: int, place: bytes) -> bytes:
    """The position after a trace's event; `place` is an encoded one."""
    return _padded(head + newest_ms.to_bytes(_TIME_BYTES) + _varint(partition) + place, _TIME_BYTES + _PLACE_BYTES)


def vector_position(head: bytes, newest_ms: int, places: Collection[bytes]) -> bytes:
    """The position that names the place of every partition, each encoded. It is made for each event."""
    raw = head + newest_ms.to_bytes(_TIME_BYTES) + _varint(len(places)) + b"".join(places)
    return _padded(raw, _TIME_BYTES + len(places) * _PLACE_BYTES)


def former_position(kind: Kind, mark: bytes, numbers: Sequence[int]) -> bytes:
    """A position that names no records. `numbers`: the partition and the offset of a trace, or every offset."""
    count = b"" if kind is Kind.TRACE else _varint(len(numbers))
    offsets = 1 if kind is Kind.TRACE else len(numbers)
    return _padded(bytes((kind,)) + mark + count + b"".join(map(_varint, numbers)), offsets * _OFFSET_BYTES)


def read_position(position: bytes, mark: bytes) -> Position:
    """What a position says. Raises PositionError for anything that is no position of the log of `mark`."""
    raw, end, _ = position.rpartition(_END)
    if not end:
        raise PositionError("it is cut short or changed")
    if not raw or raw[0] not in (Kind.TRACE + _NAMED, Kind.VECTOR + _NAMED):
        return _read_former(raw, mark)
    _check_mark(raw, mark)
    return _read_named(raw)


def is_plain_position(text: str, mark: bytes) -> bool:
    """Whether an event id is a position of this log as it was sent before positions were sealed.

    Whoever may choose the offsets to resume from can find out where each partition ends, so it is not resumed from.
    """
    try:
        _read_former(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)), mark)
    except (Base64Error, UnicodeEncodeError, PositionError):
        return False
    return True


def _read_named(raw: bytes) -> Position:
    begin = 1 + _MARK_BYTES + _TIME_BYTES
    newest_ms = int.from_bytes(raw[1 + _MARK_BYTES : begin])
    number, at = _number_at(raw, begin)
    kind = Kind(raw[0] - _NAMED)
    if number > MOST_PARTITIONS:
        raise PositionError("it is cut short or changed")
    places: dict[int, Place] = {}
    for partition in (number,) if kind is Kind.TRACE else range(number):
        digest = raw[at : at + SHORT_DIGEST_BYTES]
        offset, at = _number_at(raw, at + SHORT_DIGEST_BYTES)
        back, at = _number_at(raw, at)
        named = back > 0 and digest != _NO_DIGEST
        places[partition] = Place(offset, back, digest) if named else Place(offset)
        if back > offset:
            raise PositionError("it is cut short or changed")
    if at != len(raw) or not places:
        raise PositionError("it is cut short or changed")
    return Position(kind, places, newest_ms)


def _read_former(raw: bytes, mark: bytes) -> Position:
    if len(raw) < 1 + _MARK_BYTES or raw[0] not in (Kind.TRACE, Kind.VECTOR):
        raise PositionError("it is not an event id of this server")
    _check_mark(raw, mark)
    numbers = list(_numbers(raw, 1 + _MARK_BYTES))
    if Kind(raw[0]) is Kind.TRACE:
        if len(numbers) != 2 or numbers[0] >= MOST_PARTITIONS:
            raise PositionError("it is cut short or changed")
        return Position(Kind.TRACE, {numbers[0]: Place(numbers[1])})
    if not numbers or len(numbers) != numbers[0] + 1 or len(numbers) > MOST_PARTITIONS + 1:
        raise PositionError("it is cut short or changed")
    return Position(Kind.VECTOR, dict(enumerate(map(Place, numbers[1:]))))


def _check_mark(raw: bytes, mark: bytes) -> None:
    if raw[1 : 1 + _MARK_BYTES] != mark:
        raise PositionError("it is of another Kafka cluster, or of a topic that has been created again since")


def _padded(raw: bytes, most: int) -> bytes:
    """As long as when what follows the mark is `most` long; the end is the last 0x80, because only zeros follow it."""
    return (raw + _END).ljust(2 + _MARK_BYTES + 2 + most, b"\0")


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes((number,))
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(raw: bytes, at: int) -> Iterable[int]:
    while at < len(raw):
        number, at = _number_at(raw, at)
        yield number


def _number_at(raw: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where the next thing begins."""
    number = shift = 0
    for end in range(at, len(raw)):
        number |= (raw[end] & 127) << shift
        shift += 7
        if number > MAX_ID:
            break
        if raw[end] < 128:
            return number, end + 1
    raise PositionError("it is cut short or changed")

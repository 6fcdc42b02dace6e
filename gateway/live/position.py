"""The places in Kafka's log from which a live stream resumes, so that nothing is missed and nothing comes twice.

A position says for each partition which offset comes next. The stream of a trace needs its partition alone; any other
stream may get events of every partition, so its position is the vector of all of them. A position carries the mark of
its log (cluster and topic incarnation), because an offset means nothing in another one.

    kind (1 byte) | mark of the log (6 bytes) | varints | 0x80 | zeros
    kind 1, a trace:   partition, offset
    kind 2, a vector:  number of partitions, offset of each

The offsets count the events of all tenants, so a reader gets its position sealed (`gateway.sealed_texts`), as the event
id, and another text each time. The zeros give every position of a kind one length: the length of a text must not tell
how large the offsets are.
Partitions that a vector does not know were added later: they are read from their start.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from enum import IntEnum
from hashlib import blake2b

from axonstream.event_contract import MAX_ID

Positions = dict[int, int]  # partition -> offset of the next event

MOST_PARTITIONS = 10_000
_MARK_BYTES = 6
_OFFSET_BYTES = 5  # of a varint below 34 billion; a position with larger ones is longer
_END = b"\x80"


class Kind(IntEnum):
    """What an event's id is good for."""

    TRACE = 1
    VECTOR = 2


class PositionError(ValueError):
    """Not a position of this log; the message says what it is instead."""


def mark_of(cluster_id: str, topic_id: str) -> bytes:
    """The mark that positions of this log carry."""
    return blake2b(f"{cluster_id}\x00{topic_id}".encode(), digest_size=_MARK_BYTES).digest()


def trace_position(mark: bytes, partition: int, offset: int) -> bytes:
    """The position after a trace's event whose successor may stand at `offset`."""
    return _padded(bytes((Kind.TRACE,)) + mark + _varint(partition) + _varint(offset), 1)


def vector_position(mark: bytes, offsets: Sequence[int]) -> bytes:
    """The position that names the next offset of every partition."""
    return Vector(mark, offsets).position()


class Vector:
    """The next offset of every partition, kept as bytes, so that the position after each event costs one join."""

    def __init__(self, mark: bytes, offsets: Sequence[int]) -> None:
        self._head = bytes((Kind.VECTOR,)) + mark + _varint(len(offsets))
        self._offsets = [_varint(offset) for offset in offsets]

    def advance(self, partition: int, offset: int) -> None:
        """`offset` comes next in `partition`."""
        self._offsets[partition] = _varint(offset)

    def position(self) -> bytes:
        """The position."""
        return _padded(self._head + b"".join(self._offsets), len(self._offsets))


def read_position(position: bytes, mark: bytes) -> tuple[Kind, Positions]:
    """What a position says. Raises PositionError for anything that is no position of the log of `mark`."""
    raw, end, _ = position.rpartition(_END)
    if not end:
        raise PositionError("it is cut short or changed")
    return _read(raw, mark)


def is_plain_position(text: str, mark: bytes) -> bool:
    """Whether an event id is a position of this log as it was sent before positions were sealed.

    Whoever may choose the offsets to resume from can find out where each partition ends, so it is not resumed from.
    """
    try:
        _read(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)), mark)
    except (Base64Error, UnicodeEncodeError, PositionError):
        return False
    return True


def _read(raw: bytes, mark: bytes) -> tuple[Kind, Positions]:
    if len(raw) < 1 + _MARK_BYTES or raw[0] not in (Kind.TRACE, Kind.VECTOR):
        raise PositionError("it is not an event id of this server")
    if raw[1 : 1 + _MARK_BYTES] != mark:
        raise PositionError("it is of another Kafka cluster, or of a topic that has been made anew since")
    numbers = _numbers(raw[1 + _MARK_BYTES :])
    if Kind(raw[0]) is Kind.TRACE:
        if len(numbers) != 2 or numbers[0] >= MOST_PARTITIONS:
            raise PositionError("it is cut short or changed")
        return Kind.TRACE, {numbers[0]: numbers[1]}
    if not numbers or len(numbers) != numbers[0] + 1:
        raise PositionError("it is cut short or changed")
    return Kind.VECTOR, dict(enumerate(numbers[1:]))


def beyond(positions: Mapping[int, int], ends: Mapping[int, int]) -> int | None:
    """A partition of which `positions` names an offset after its end, or one that is not there; None if there is none.

    Partitions without an end are not there.
    """
    return next((p for p, offset in positions.items() if p not in ends or offset > ends[p]), None)


def _padded(raw: bytes, numbers: int) -> bytes:
    """As long as with `numbers` large ones; the end is the last 0x80, because only zeros follow it."""
    return (raw + _END).ljust(2 + _MARK_BYTES + 2 + numbers * _OFFSET_BYTES, b"\0")


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes((number,))
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(raw: bytes) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in raw:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number = shift = 0
        if number > MAX_ID or len(numbers) > MOST_PARTITIONS + 1:
            raise PositionError("it is cut short or changed")
    if shift or any(number > MAX_ID for number in numbers):
        raise PositionError("it is cut short or changed")
    return numbers

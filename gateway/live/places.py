"""Which record of each partition was read last, and the positions that follow from that. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from axonstream.gateway.live.position import (
    MOST_NAMED,
    Kind,
    Place,
    former_position,
    head_of,
    trace_position,
    vector_position,
)
from axonstream.kafka.record_identity import IdentifiedRecord, short_digest

_LATEST_MS = (1 << 48) - 1


class PlacedRecord(IdentifiedRecord, Protocol):
    """What is kept of a record until it is hashed, and its partition."""

    @property
    def partition(self) -> int: ...


class Places:
    """The places of some partitions, of all of them for the position of a vector.

    A record is hashed when a position is asked for, or `settle` is called: most records are for no stream. Until then
    it is kept in memory.

    While the time is held, positions tell no newer one: a partition whose last record was not met may have lost it
    before, and goes on at what came since the time that its reader's position tells.
    """

    def __init__(self, mark: bytes, places: Mapping[int, Place], newest_ms: int = 0) -> None:
        self._mark = mark
        self._trace_head, self._vector_head = head_of(Kind.TRACE, mark), head_of(Kind.VECTOR, mark)
        self._read_ms = self._newest_ms = newest_ms
        self._time_is_held = False
        self._places = dict(sorted(places.items()))
        self._encoded = {partition: place.encoded() for partition, place in self._places.items()}
        self._unsettled: dict[int, PlacedRecord] = {}

    @property
    def newest_ms(self) -> int:
        """When the newest record was appended that was read, as positions tell it; ms since 1970, 0 where none was."""
        self.settle()
        return self._newest_ms

    def hold_time(self) -> None:
        """Whatever is read from now on, `newest_ms` stays what it is."""
        self.settle()
        self._time_is_held = True

    def release_time(self) -> None:
        """Every partition has shown that it has lost nothing: `newest_ms` is of all that was read."""
        self._time_is_held = False
        self._newest_ms = self._read_ms

    def read(self, record: PlacedRecord) -> None:
        """This is the last record that was read of its partition."""
        self._unsettled[record.partition] = record

    def pass_markers(self, partition: int, offset: int) -> None:
        """Nothing but markers of transactions stands between the last record and `offset`."""
        place = self.at(partition)
        if (passed := offset - place.offset) > 0:
            self.put(partition, place._replace(offset=offset, back=place.back + passed if place.digest else 0))

    def put(self, partition: int, place: Place) -> None:
        """The partition goes on there, whatever was read of it."""
        self.settle()
        self._set(partition, place)

    def at(self, partition: int) -> Place:
        """Where the partition goes on."""
        self.settle()
        return self._places[partition]

    def settle(self) -> None:
        """Let go of the records."""
        while self._unsettled:
            partition, record = self._unsettled.popitem()
            self._read_ms = max(self._read_ms, min(record.timestamp, _LATEST_MS))
            self._set(partition, Place(record.offset + 1, 1, short_digest(record)))
        if not self._time_is_held or not self._newest_ms:  # 0 would say nothing
            self._newest_ms = self._read_ms

    def position(self, kind: Kind, partition: int) -> bytes:
        """The position after all that was read, not sealed, for a stream of this kind; `partition` is a trace's."""
        self.settle()
        if kind is Kind.TRACE:
            return trace_position(self._trace_head, self._newest_ms, partition, self._encoded[partition])
        if len(self._encoded) > MOST_NAMED:
            offsets = [self._places[p].offset for p in self._encoded]
            return former_position(kind, self._mark, offsets)
        return vector_position(self._vector_head, self._newest_ms, self._encoded.values())

    def _set(self, partition: int, place: Place) -> None:
        is_new = partition not in self._places
        self._places[partition] = place
        self._encoded[partition] = place.encoded()
        if is_new:
            self._encoded = dict(sorted(self._encoded.items()))

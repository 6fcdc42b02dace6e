"""Whether the control topic can be read on from where it was read, or must be read anew.

It must when the log has lost a record that was read: another one may stand there, a revoked key among them. And when
this gateway was cut off for so long that a tombstone may have been compacted away, which it would never see.
"""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from axonstream.kafka.leader_watch import Leader, LeaderWatch, log_ends
from axonstream.kafka.record_identity import IdentifiedRecord, RecordMark, Standing, mark_of, standings
from axonstream.process.boot_clock import boot_clock
from axonstream.settings.settings import Settings

LOOK_S = 1.0
TOMBSTONES_S = 24 * 3600.0  # delete.retention.ms, Kafka's default: so long a reader that was away still finds them


class SameLog:
    """Kept from one connection to the next; `clock` counts seconds, also while the machine sleeps."""

    def __init__(self, settings: Settings, partition: TopicPartition, clock: Callable[[], float] = boot_clock) -> None:
        self._settings = settings
        self._partition = partition
        self._clock = clock
        self._last: RecordMark | None = None
        self._leader: Leader | None = None
        self._known_at = clock()
        self._look_at = 0.0

    def forget(self) -> None:
        """The topic is read anew from now on."""
        self._last = None
        self._known_at = self._clock()

    def read(self, record: IdentifiedRecord) -> None:
        """This is the last record that was read."""
        self._last = mark_of(record)

    def known(self) -> None:
        """Everything was read that the topic has now."""
        self._known_at = self._clock()

    async def goes_on(self) -> bool:
        """Any doubt means no: what is read anew is whole. Raises KafkaError."""
        if self._was_away:
            return False
        if self._last is None:
            return True
        found = await standings(self._settings, {self._partition: [self._last]})
        return found[self._partition, self._last] is Standing.SAME

    @property
    def _was_away(self) -> bool:
        """For so long that tombstones may be gone; also on a connection that has outlived the sleep of this machine."""
        return self._clock() - self._known_at > TOMBSTONES_S / 2

    async def check(
        self, consumer: AIOKafkaConsumer, watch: LeaderWatch, reached: int, fetched_to: int, timeout_s: float
    ) -> None:
        """Before records below `fetched_to` are read; everything below `reached` was. Asks about once a second.

        Raises OffsetOutOfRangeError when the topic must be read anew, and KafkaError.
        """
        in_doubt = bool(watch.doubts(self._partition, fetched_to)) or self._was_away
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_S
            end = (await log_ends(consumer, [self._partition], timeout_s))[self._partition]
            in_doubt |= end.leader != self._leader or end.end < reached
            self._leader = end.leader
            if not in_doubt and end.end <= reached:
                self.known()
        if in_doubt and not await self.goes_on():
            raise OffsetOutOfRangeError(f"{self._partition.topic} has lost records that were read")

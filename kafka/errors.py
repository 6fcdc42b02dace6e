"""What can go wrong on the way to Kafka.

ProducerError
+- NotAcknowledgedError   Kafka did not acknowledge: the event may or may not be stored; publish it again
|  +- PartitionsChangedError  the topic has another number of partitions than the settings say
+- TopicMismatchError     the topics on Kafka are not those that this installation needs
+- NoTopicError           a topic does not exist
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from axonstream.errors import APIConnectionError


class Fate(Protocol):
    """What becomes of records after their caller was told that Kafka did not acknowledge in time."""

    def may_be_stored(self) -> bool:
        """Whether Kafka has one of them, or may still come to have it."""
        ...

    async def stored(self) -> Mapping[int, int | None]:
        """Waits until Kafka has answered for each that was sent to it: the places, among all, of those that it has, and
        when it took them (ms since 1970, by its clock; None where it does not say)."""
        ...


class ProducerError(Exception):
    """Root of this package's errors."""


class NotAcknowledgedError(ProducerError, APIConnectionError):
    """Kafka did not acknowledge in time. Publishing again with the same dedup key cannot count twice.

    To the user of a KafkaPublisher it is what a lost connection is to that of an AxonPush. `fate` tells what becomes of
    the records; without one, none was sent.
    """

    def __init__(self, message: str, fate: Fate | None = None) -> None:
        super().__init__(message)
        self.fate = fate


class PartitionsChangedError(NotAcknowledgedError):
    """The topic has another number of partitions than this process was told: nothing was sent. Anybody may be told."""


class TopicMismatchError(ProducerError):
    """A topic is missing, or is not made as the pipeline needs it; the message says what to do."""


class NoTopicError(ProducerError):
    """A topic does not exist; the message says what to do."""

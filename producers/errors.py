"""What can go wrong on the way to Kafka.

ProducerError
+- NotAcknowledgedError   Kafka did not acknowledge: the event may or may not be stored; publish it again
+- TopicMismatchError     the topics on Kafka are not those that this installation needs
"""

from __future__ import annotations

from axonstream.errors import APIConnectionError


class ProducerError(Exception):
    """Root of this package's errors."""


class NotAcknowledgedError(ProducerError, APIConnectionError):
    """Kafka did not acknowledge in time. Publishing again with the same dedup key cannot count twice.

    To the user of a KafkaPublisher it is what a lost connection is to that of an AxonPush.
    """


class TopicMismatchError(ProducerError):
    """A topic is missing, or is not made as the pipeline needs it; the message says what to do."""

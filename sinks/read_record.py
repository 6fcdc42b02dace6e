"""What the sink needs of a record that it has read from Kafka."""

from __future__ import annotations

from typing import Protocol


class ReadRecord(Protocol):
    """Named as in aiokafka's ConsumerRecord; `timestamp` is in ms since 1970."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...

"""What folding writes to Kafka, as plain values, and how it hands it over."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable
from typing import Any, Protocol

OutputRecord = tuple[bytes, bytes | None] | tuple[bytes, None, tuple[str, bytes | None]]  # key, value, header


class Output(Protocol):
    """Where output goes: the chunked producer."""

    def queue(self, topic: str, partition: int, records: Iterable[OutputRecord]) -> list[Future[Any]]:
        """Queue records in their order; returns the acknowledgements to come, one a batch."""
        ...

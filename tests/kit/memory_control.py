"""Control data without Kafka: what is written is read back at once, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.control.data import ControlData
from gateway.control.records import ControlRecord, encode_record
from gateway.errors import UnavailableError


@dataclass
class MemoryControl:
    """`topic` has every record that was written, encoded."""

    data: ControlData = field(default_factory=ControlData)
    topic: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    acknowledges: bool = True

    def __post_init__(self) -> None:
        self.data.loaded = True

    @property
    def offset(self) -> int:
        return len(self.topic)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def write(self, records: Sequence[ControlRecord]) -> None:
        if not self.acknowledges:
            raise UnavailableError("Kafka did not acknowledge the change in time", "Try again.")
        for record in records:
            key, value = encode_record(record)
            self.topic.append((key, value))
            assert self.data.read(key, value) is not None

    async def note(self, records: Sequence[ControlRecord]) -> None:
        await self.write(records)

    async def catch_up(self) -> bool:
        return self.acknowledges and self.data.loaded

    def state(self) -> str:
        return "ok"

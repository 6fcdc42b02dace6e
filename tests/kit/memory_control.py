"""Control data without Kafka: what is written is read back at once, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from axonstream.gateway.control.audit_entry import AuditEntry, encode_entry, is_entry
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.records import ControlRecord, encode_record
from axonstream.gateway.http.errors import UnavailableError


@dataclass
class MemoryControl:
    """`topic` has every record that was written, encoded; `entries` those of the audit log."""

    data: ControlData = field(default_factory=ControlData)
    topic: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    entries: list[AuditEntry] = field(default_factory=list[AuditEntry])
    acknowledges: bool = True

    def __post_init__(self) -> None:
        self.data.loaded = True

    @property
    def offset(self) -> int:
        return len(self.topic)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def write(self, records: Sequence[ControlRecord], entry: AuditEntry) -> None:
        await self.enter(entry)
        await self.note(records)

    async def note(self, records: Sequence[ControlRecord]) -> None:
        self._append([encode_record(record) for record in records])

    async def enter(self, entry: AuditEntry) -> None:
        self.entries.append(entry)
        self._append([encode_entry(entry)])

    async def forget(self, keys: Sequence[bytes]) -> None:
        self._append([(key, None) for key in keys])

    async def catch_up(self) -> bool:
        return self.acknowledges and self.data.loaded

    def _append(self, pairs: Sequence[tuple[bytes, bytes | None]]) -> None:
        if not self.acknowledges:
            raise UnavailableError("Kafka did not acknowledge the change in time", "Try again.")
        for key, value in pairs:
            read = self.data.read(key, value)
            if not is_entry(key):
                assert read is not None
                self.topic.append((key, value))

    def state(self) -> str:
        return "ok"

"""A record that cannot be stored, with its bytes and the reason.

The same record makes the same dead letter every time: its time is the record's own.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, cast

import orjson

from axonstream.event_contract import MAX_NAME_BYTES


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`key` and `value` are the record's bytes; `failed_at` is the record's timestamp in ms since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    failed_at: int

    @classmethod
    def of(cls, record: Any, reason: str) -> DeadLetter:
        """From a consumed record."""
        place = (record.topic, record.partition, record.offset)
        return cls(*place, record.key, record.value, reason, max(0, record.timestamp))

    def trace(self) -> tuple[str, str]:
        """(tenant_id, trace_id) as far as the record says them, else two empty strings."""
        try:
            fields = orjson.loads(self.value or b"")
        except orjson.JSONDecodeError:
            return "", ""
        if not isinstance(fields, dict):
            return "", ""
        names = [cast("dict[str, Any]", fields).get(name) for name in ("tenant_id", "trace_id")]
        tenant, trace = (n if isinstance(n, str) and len(n.encode()) <= MAX_NAME_BYTES else "" for n in names)
        return (tenant, trace) if tenant and trace else ("", "")

    def encoded(self) -> bytes:
        """The value of its record on the topic dead-letters."""
        tenant, trace = self.trace()
        return orjson.dumps(
            {
                "v": 1,
                "topic": self.topic,
                "partition": self.partition,
                "offset": self.offset,
                "key_b64": None if self.key is None else b64encode(self.key).decode(),
                "value_b64": None if self.value is None else b64encode(self.value).decode(),
                "reason": self.reason,
                "tenant_id": tenant,
                "trace_id": trace,
                "failed_at": self.failed_at,
            }
        )

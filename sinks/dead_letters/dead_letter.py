"""A record that cannot be stored, with its bytes and the reason.

The same record makes the same dead letter every time: its time is the record's own. The table keeps all of its bytes.
The topic quotes a key and a value of up to QUOTED_BYTES each, which is more than agent-events takes unless someone has
raised its limit; of a larger one it says the size alone: {"value_b64": null, "value_omitted_bytes": n}, and the same
for the key. A reason that quotes a long name is cut.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import orjson
from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from axonstream.clickhouse.row_binary import int64, string, uint32
from axonstream.contract.record_validation import MAX_RECORD_BYTES
from axonstream.event_contract import MAX_NAME_BYTES
from axonstream.sinks.read_record import ReadRecord

QUOTED_BYTES = MAX_RECORD_BYTES + (64 << 10)  # as key and as base64, and the value as base64: below 4 MAX_RECORD_BYTES
MAX_REASON_CHARACTERS = 1000


class _Sender(Struct, gc=False):
    """What else the record holds is passed over, and not made Python objects: it may be anything."""

    tenant_id: str = ""
    trace_id: str = ""


_sender_of = Decoder(_Sender).decode


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
    def of(cls, record: ReadRecord, reason: str) -> DeadLetter:
        """From a consumed record."""
        place = (record.topic, record.partition, record.offset)
        return cls(*place, record.key, record.value, reason[:MAX_REASON_CHARACTERS], max(0, record.timestamp))

    def trace(self) -> tuple[str, str]:
        """(tenant_id, trace_id) as far as the record says them, else two empty strings."""
        try:
            sender = _sender_of(self.value or b"")
            names = sender.tenant_id, sender.trace_id
            readable = all(0 < len(name.encode()) <= MAX_NAME_BYTES for name in names)
        except (MsgspecError, UnicodeError, RecursionError):
            return "", ""
        return names if readable else ("", "")

    def row(self, epoch: int) -> bytes:
        """Its row of the table dead_letters, as RowBinary, in the order of the table's columns."""
        tenant, trace = self.trace()
        return b"".join(
            (
                *(string(self.topic.encode()), uint32(self.partition), int64(self.offset)),
                *(string(self.key or b""), string(self.value or b""), string(self.reason.encode("utf-8", "replace"))),
                *(string(tenant.encode()), string(trace.encode()), int64(self.failed_at), uint32(epoch)),
            )
        )

    def record_key(self) -> bytes | None:
        """The key of its record on the topic dead-letters."""
        return None if _too_large(self.key) else self.key

    def encoded(self) -> bytes:
        """The value of its record on the topic dead-letters."""
        tenant, trace = self.trace()
        return orjson.dumps(
            {
                "v": 1,
                "topic": self.topic,
                "partition": self.partition,
                "offset": self.offset,
                **_quotation("key", self.key),
                **_quotation("value", self.value),
                "reason": self.reason,
                "tenant_id": tenant,
                "trace_id": trace,
                "failed_at": self.failed_at,
            }
        )


def _too_large(part: bytes | None) -> bool:
    return len(part or b"") > QUOTED_BYTES


def _quotation(name: str, part: bytes | None) -> dict[str, str | int | None]:
    if part is None:
        return {f"{name}_b64": None}
    if _too_large(part):
        return {f"{name}_b64": None, f"{name}_omitted_bytes": len(part)}
    return {f"{name}_b64": b64encode(part).decode()}

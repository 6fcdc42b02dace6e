"""Which dead letters an operator means: conditions that must all hold, as SQL with its values apart."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

_CONDITIONS = {
    "topic": "l.topic = {topic:String}",
    "epoch": "l._topic_epoch = {epoch:UInt32}",
    "partition": "l.partition = {partition:UInt32}",
    "offset": "l.offset = {offset:Int64}",
    "reason": "positionCaseInsensitiveUTF8(l.reason, {reason:String}) > 0",
    "tenant_id": "l.tenant_id = {tenant_id:String}",
    "trace_id": "l.trace_id = {trace_id:String}",
    "since_ms": "l.failed_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')",
    "until_ms": "l.failed_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')",
}


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """None stands for any. `reason` is a part of the reason in any case; times are ms since 1970, `until_ms` excluded.

    Tenant and trace are those that the record claims: a letter that claims none matches no tenant and no trace.
    """

    topic: str | None = None
    epoch: int | None = None
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None
    tenant_id: str | None = None
    trace_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def given(self) -> dict[str, Any]:
        """The fields that restrict anything, by name: the values to bind."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def sql(self) -> str:
        """A condition on the table `dead_letters AS l`."""
        return " AND ".join(_CONDITIONS[name] for name in self.given()) or "1"

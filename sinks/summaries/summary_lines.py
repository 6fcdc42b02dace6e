"""The records of trace-summaries as rows: the newest snapshot a segment, and how far the traces are folded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.event_contract import MAX_ID, MAX_TIME_MS
from axonstream.kafka.record_identity import RecordMark, mark_from
from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.read_record import ReadRecord
from axonstream.summary_counters import NAMES, OLDEST, lacks_counts

Count = Annotated[int, Field(ge=0, le=MAX_ID)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
_TIMES = ("first_at", "last_at", "last_received_at")


class _Start(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    v: Annotated[int, Field(ge=1, le=1)]
    tenant_id: Annotated[str, Field(min_length=1)]
    trace_id: Annotated[str, Field(min_length=1)]
    first_offset: Count
    last_offset: Count
    event_count: Count


# A processor of an earlier version does not say the later counters.
_DEFAULTS: dict[str, Any] = {name: (Count, ... if at < OLDEST else 0) for at, name in enumerate(NAMES)}
if TYPE_CHECKING:

    class _Counted(_Start): ...

else:
    _Counted = create_model("_Counted", __base__=_Start, **_DEFAULTS)


class TraceSummary(_Counted):
    """A snapshot of one segment of a trace, as the processor writes it; times are ms since 1970."""

    first_at: Milliseconds
    last_at: Milliseconds
    last_received_at: Milliseconds
    agents: list[str]
    event_types: list[str]
    first_error_event_id: Count
    first_error_step: Count
    first_error_span_id: str
    first_error_identifier: str
    first_error_agent_id: str
    exact: Annotated[int, Field(ge=0, le=1)]

    def line(self, epoch: int, partition: int) -> bytes:
        """The JSONEachRow line that stores it."""
        row: dict[str, Any] = self.model_dump()
        for name in _TIMES:
            row[name] = f"{row[name] // 1000:010d}.{row[name] % 1000:03d}"
        return orjson.dumps(row | {"_topic_epoch": epoch, "_partition": partition}) + b"\n"


class Watermark(BaseModel):
    """Every event of the partition below `folded` is in the summaries that came before this record.

    `anew` makes earlier watermarks void: the log lost its end, and is folded once more. `at` is the mark of the last
    event below `folded`, as the processor read it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    v: Annotated[int, Field(ge=1, le=1)]
    folded: Count
    anew: Annotated[int, Field(ge=0, le=1)] = 0
    at: list[Any] | None = None


COLUMNS = ", ".join([*TraceSummary.model_fields, "_topic_epoch", "_partition"])


class HiddenSummaries(NamedTuple):
    """The summaries of deleted traces, which a replay makes once more. `topic_id` is of the log of the events."""

    deleted: DeletedTraces
    topic_id: str

    def hides(self, summary: TraceSummary, partition: int) -> bool:
        """Whether it counts an event that is deleted, or is of a trace whose events are refused."""
        return self.hides_event(summary.tenant_id, summary.trace_id, partition, summary.first_offset)

    def hides_event(self, tenant_id: str, trace_id: str, partition: int, offset: int) -> bool:
        """Whether a stored event is deleted: its row is going, and no summary of it comes any more."""
        return bool(self.deleted) and self.deleted.hides(tenant_id, trace_id, self.topic_id, partition, offset)


@dataclass(slots=True)
class SummaryBatch:
    """What a batch of records comes down to; `folded` is by partition, `folded_at` the mark that came with it.

    `anew` is by partition from where on everything is folded once more, in this batch and behind it; what came before
    it in the batch, and would be taken back, is left out. `records` counts what was added, `size` is the bytes of
    their values.
    """

    newest: dict[tuple[int, bytes, int], TraceSummary] = field(
        default_factory=dict[tuple[int, bytes, int], TraceSummary]
    )
    folded: dict[int, int] = field(default_factory=dict[int, int])
    folded_at: dict[int, RecordMark | None] = field(default_factory=dict[int, RecordMark | None])
    anew: dict[int, int] = field(default_factory=dict[int, int])
    refused: list[DeadLetter] = field(default_factory=list[DeadLetter])
    records: int = 0
    size: int = 0
    hidden: HiddenSummaries | None = None

    @classmethod
    def of(cls, records: Iterable[ReadRecord], hidden: HiddenSummaries | None = None) -> SummaryBatch:
        batch = cls(hidden=hidden)
        batch.add(records)
        return batch

    def add(self, records: Iterable[ReadRecord]) -> None:
        """Merged by highest last_offset, whatever the order of the records."""
        for record in records:
            self.records += 1
            self.size += len(record.value or b"")
            try:
                if record.key == WATERMARK_KEY:
                    self._add_watermark(record.partition, Watermark.model_validate_json(record.value or b""))
                else:
                    self._add(record)
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_input=False)[0]
                reason = f"not a trace summary: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
                self.refused.append(DeadLetter.of(record, reason))

    def _add_watermark(self, partition: int, watermark: Watermark) -> None:
        if watermark.anew:
            start = min(watermark.folded, self.anew.get(partition, watermark.folded))
            self.anew[partition] = start
            self.folded.pop(partition, None)
            void = [at for at, kept in self.newest.items() if at[0] == partition and kept.last_offset >= start]
            for at in void:
                del self.newest[at]
        if watermark.folded >= self.folded.get(partition, 0):
            self.folded[partition] = watermark.folded
            self.folded_at[partition] = mark_from(watermark.at)

    def _add(self, record: ReadRecord) -> None:
        summary = TraceSummary.model_validate_json(record.value or b"")
        key = state_key(summary.tenant_id, summary.trace_id)
        if record.key != key:
            self.refused.append(DeadLetter.of(record, "the record's key is not its tenant and trace"))
            return
        if self.hidden is not None and self.hidden.hides(summary, record.partition):
            return
        told = len(summary.model_fields_set) - len(TraceSummary.model_fields) + len(NAMES)
        if told < len(NAMES) and lacks_counts(told, summary.event_types):
            summary = summary.model_copy(update={"exact": 0})
        segment = (record.partition, key, summary.first_offset)
        known = self.newest.get(segment)
        if known is None or summary.last_offset >= known.last_offset:
            self.newest[segment] = summary

    def lines(self, epoch: int) -> Iterator[bytes]:
        return (summary.line(epoch, partition) for (partition, _, _), summary in self.newest.items())

"""The records of trace-summaries as rows: the newest snapshot of each segment, the newest version of each step, and how
far the traces are folded. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import orjson
from msgspec import MsgspecError, to_builtins
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.step_record import COLUMNS as STEP_FIELDS
from axonstream.contract.step_record import USD, StepRecord, decode_step, is_step_key, step_key
from axonstream.event_contract import MAX_ID, MAX_TIME_MS
from axonstream.kafka.record_identity import RecordMark, mark_from
from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.run_summary import RUN_FIELDS
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.read_record import ReadRecord
from axonstream.steps import has_step_events
from axonstream.summary_counters import NAMES, OLDEST, lacks_counts

Count = Annotated[int, Field(ge=0, le=MAX_ID)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
_TIMES = ("first_at", "last_at", "last_received_at")
_STEP_TIMES = ("arrived_at", "started_at", "ended_at")
_COUNTERS = frozenset(NAMES)


class _Start(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    v: Annotated[int, Field(ge=1, le=1)]
    tenant_id: Annotated[str, Field(min_length=1)]
    trace_id: Annotated[str, Field(min_length=1)]
    first_offset: Count
    last_offset: Count
    event_count: Count


_OpenStep = tuple[str, str, str, Count, Count]  # kind, name, agent, began at (ms), step
_RUN_TYPES: Mapping[str, Any] = {
    "UInt8": Annotated[int, Field(ge=0, le=1)],
    "UInt32": Annotated[int, Field(ge=0, lt=1 << 32)],
    "UInt64": Count,
    "Int64": Annotated[int, Field(ge=-1, le=MAX_ID)],
    "Decimal(38, 12)": Annotated[str, Field(pattern=f"^{USD}$")],
    "Array(String)": list[str],
    "String": str,
    "LowCardinality(String)": str,
}


def _run_field(name: str, column: str, default: Any) -> tuple[Any, Any]:
    if name == "open_steps":
        return list[_OpenStep], []
    return _RUN_TYPES[column.partition(" CODEC")[0]], default


# A processor of an earlier version does not say the later counters, and nothing of the run.
_DEFAULTS: dict[str, Any] = {
    **{name: (Count, ... if at < OLDEST else 0) for at, name in enumerate(NAMES)},
    **{name: _run_field(name, *of) for name, of in RUN_FIELDS.items()},
}
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
        """The JSONEachRow line that stores it. What the record does not say is not in it: its column has a default."""
        row: dict[str, Any] = self.model_dump(exclude_unset=True)
        if "open_steps" in row:
            row["open_steps"] = orjson.dumps(row["open_steps"]).decode()
        return _line(row, _TIMES, epoch, partition)

    @property
    def lacks_something(self) -> bool:
        """Whether its processor is of a version that did not say something of a trace with these events."""
        said = self.model_fields_set
        told = len(said & _COUNTERS)
        if told < len(NAMES) and lacks_counts(told, self.event_types):
            return True
        return said.isdisjoint(RUN_FIELDS) and has_step_events(self.event_types)


def step_line(step: StepRecord, epoch: int, partition: int) -> bytes:
    """The JSONEachRow line that stores a step; what has its default is not in it."""
    return _line(to_builtins(step), _STEP_TIMES, epoch, partition)


def _line(row: dict[str, Any], times: Iterable[str], epoch: int, partition: int) -> bytes:
    for name in times:
        if name in row:
            row[name] = f"{row[name] // 1000:010d}.{row[name] % 1000:03d}"
    row["_topic_epoch"], row["_partition"] = epoch, partition
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


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
MADE_COLUMNS = ", ".join(  # of one that is made of rows: it knows nothing of the run
    [*(name for name in TraceSummary.model_fields if name not in RUN_FIELDS), "_topic_epoch", "_partition"]
)
STEP_COLUMNS = ", ".join([*STEP_FIELDS, "_topic_epoch", "_partition"])


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
    it in the batch, and would be taken back, is left out. `steps` are by partition and key. `records` counts what was
    added, `size` is the bytes of their values.
    """

    newest: dict[tuple[int, bytes, int], TraceSummary] = field(
        default_factory=dict[tuple[int, bytes, int], TraceSummary]
    )
    steps: dict[tuple[int, bytes], StepRecord] = field(default_factory=dict[tuple[int, bytes], StepRecord])
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
        """Merged by highest last_offset, and by highest version, whatever the order of the records."""
        for record in records:
            self.records += 1
            self.size += len(record.value or b"")
            try:
                if record.key == WATERMARK_KEY:
                    self._add_watermark(record.partition, Watermark.model_validate_json(record.value or b""))
                elif is_step_key(record.key):
                    self._add_step(record)
                else:
                    self._add(record)
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_input=False)[0]
                reason = f"not a trace summary: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
                self.refused.append(DeadLetter.of(record, reason))
            except MsgspecError as error:
                self.refused.append(DeadLetter.of(record, f"not a step: {error}"))

    def _add_watermark(self, partition: int, watermark: Watermark) -> None:
        if watermark.anew:
            start = min(watermark.folded, self.anew.get(partition, watermark.folded))
            self.anew[partition] = start
            self.folded.pop(partition, None)
            void = [at for at, kept in self.newest.items() if at[0] == partition and kept.last_offset >= start]
            for at in void:
                del self.newest[at]
            gone = [at for at, kept in self.steps.items() if at[0] == partition and kept.version >= start]
            for at in gone:
                del self.steps[at]
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
        if summary.lacks_something:
            summary = summary.model_copy(update={"exact": 0})
        segment = (record.partition, key, summary.first_offset)
        known = self.newest.get(segment)
        if known is None or summary.last_offset >= known.last_offset:
            self.newest[segment] = summary

    def _add_step(self, record: ReadRecord) -> None:
        step = decode_step(record.value or b"")
        key = step_key(state_key(step.tenant_id, step.trace_id), step.step)
        if record.key != key:
            self.refused.append(DeadLetter.of(record, "the record's key is not its tenant, trace and step"))
            return
        if self.hidden is not None and self.hidden.hides_event(
            step.tenant_id, step.trace_id, record.partition, step.step
        ):
            return
        place = (record.partition, key)
        known = self.steps.get(place)
        if known is None or step.version >= known.version:
            self.steps[place] = step

    def step_lines(self, epoch: int) -> Iterator[bytes]:
        return (step_line(step, epoch, partition) for (partition, _), step in self.steps.items())

    def lines(self, epoch: int) -> Iterator[bytes]:
        return (summary.line(epoch, partition) for (partition, _, _), summary in self.newest.items())

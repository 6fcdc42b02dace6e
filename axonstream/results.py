"""What the server answers, typed. Fields that this version does not know are ignored."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from axonstream.event_contract import EventType
from axonstream.event_fields import LISTED, Amount, EventAttributes, EventField, Whole
from axonstream.summary_counters import NAMES

if TYPE_CHECKING:
    from axonstream.summary_counters import CounterAttributes

Item = TypeVar("Item")


def _whole_number(value: object) -> object:
    """An id of digits as int, so that it compares with `event_id`; any other id as it is."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return value


KnownOrText = Annotated[EventType | str, Field(union_mode="left_to_right")]
EventId = Annotated[int | str, BeforeValidator(_whole_number)]


class _Result(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def _carried(field: EventField) -> tuple[Any, Any]:
    """Without its bounds: those of a newer server may be wider."""
    if isinstance(field.kind, Amount):  # as text it has all its digits
        both = AliasChoices(f"{field.answered}Text", field.answered, field.name)
        return Annotated[Decimal | None, Field(validation_alias=both)], None
    return (int if isinstance(field.kind, Whole) else str) | None, None


if TYPE_CHECKING:

    class _Fields(_Result, EventAttributes[None]): ...

else:  # in the order of the table; Event says what those are that are more than carried
    _SHOWN = [field for field in LISTED if field.name != "received_at"]  # which is `created_at`
    _Fields = create_model("_Fields", __base__=_Result, **{field.shown: _carried(field) for field in _SHOWN})


class Event(_Fields):
    """One stored event. Times are aware datetimes; `event_type` is an EventType, or plain text if it is not one."""

    event_id: Annotated[int, Field(validation_alias=AliasChoices("eventId", "event_id", "id"))]
    identifier: str
    payload: dict[str, Any]
    channel_id: EventId | None = None
    trace_id: str
    parent_event_id: EventId | None = None
    event_type: KnownOrText = EventType.CUSTOM
    metadata: dict[str, Any] | None = None
    step_status: str | None = None
    source: str | None = None
    occurred_at: datetime | None = None
    created_at: datetime | None = None
    duplicate: bool = False

    @property
    def id(self) -> int:
        """The same as `event_id`."""
        return self.event_id


class FirstError(_Result):
    """The first `agent.error` of a trace; `step` is its place among the events, counted from 1.

    `input_event_id` is the event that began the step which the error marks.
    """

    event_id: EventId
    step: Annotated[int, Field(validation_alias=AliasChoices("step", "stepNumber", "step_number"))]
    span_id: str | None = None
    identifier: str | None = None
    agent_id: str | None = None
    type: str | None = None
    input_event_id: EventId | None = None


class OpenStep(_Result):
    """A step that has not ended; `step` names it in its trace."""

    kind: str
    name: str
    agent_id: str | None = None
    since: datetime
    step: int


class SlowestStep(_Result):
    """The step that took longest of those that ended."""

    kind: str
    name: str
    agent_id: str | None = None
    duration_ms: int
    step: int


class _Times(_Result):
    trace_id: str
    start_time: Annotated[datetime, Field(validation_alias=AliasChoices("startTime", "start_time", "startedAt"))]
    end_time: Annotated[datetime, Field(validation_alias=AliasChoices("endTime", "end_time", "endedAt"))]
    duration_ms: Annotated[int, Field(validation_alias=AliasChoices("durationMs", "duration_ms", "duration"))]


if TYPE_CHECKING:

    class _Counted(_Times, CounterAttributes): ...

else:
    _Counted = create_model("_Counted", __base__=_Times, **dict.fromkeys(NAMES, (int, 0)))


class _TraceFigures(_Counted):
    agents: tuple[str, ...] = ()
    event_types: tuple[KnownOrText, ...] = ()
    first_error: FirstError | None = None
    environment: str | None = None
    status: str | None = None
    status_basis: str | None = None
    outcome: str | None = None
    recovered_errors: int = 0
    first_error_type: str | None = None
    root_span_name: str | None = None
    service_name: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    customer: str | None = None
    release: str | None = None
    workflow: str | None = None
    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Annotated[Decimal | None, Field(validation_alias=AliasChoices("costUsdText", "costUsd", "cost_usd"))] = (
        None
    )
    unpriced_calls: int = 0
    llm_call_count: int = 0
    tool_error_count: int = 0
    open_step_count: int = 0
    open_steps: tuple[OpenStep, ...] = ()
    slowest_step: SlowestStep | None = None


class TraceSummary(_TraceFigures):
    """The figures of one trace; `duration_ms` is last minus first event time, in whole milliseconds.

    `status` is `running`, `ok`, `failed` or `stalled`, and `status_basis` what it rests on. Tokens and cost are those
    of LLM calls without LLM calls in them. What nobody knows is None.

    `agents` and `event_types` are distinct, in order of first appearance. `stale` says that events which were
    acknowledged before the question may be missing, as the server could not wait for them any longer.
    """

    total_events: Annotated[int, Field(validation_alias=AliasChoices("totalEvents", "total_events", "eventCount"))]
    stale: bool = False

    @property
    def event_count(self) -> int:
        """The same as `total_events`."""
        return self.total_events


class TraceListItem(_TraceFigures):
    """The figures of one trace in a list of traces."""

    event_count: Annotated[int, Field(validation_alias=AliasChoices("eventCount", "event_count", "totalEvents"))]


class Rows(list[Item]):
    """A list that also knows whether it is `stale`: what was acknowledged before the question may be missing."""

    stale: bool

    def __init__(self, rows: list[Item], *, stale: bool) -> None:
        super().__init__(rows)
        self.stale = stale


class RefusedEvent(_Result):
    """One event of a batch that the server did not take; `index` is its place in the batch, from 0."""

    index: int
    message: str


class BatchResult(_Result):
    """What became of a batch: the valid events are stored although others were refused."""

    accepted: int
    rejected: tuple[RefusedEvent, ...] = ()
    ids: tuple[int, ...] = ()


class Deletion(_Result):
    """Traces were deleted: nothing of them is shown from now on. `traces` is how many were named, None for all of the
    tenant; `late` says what becomes of events that come later, "refused" or "stored".
    """

    traces: int | None = None
    late: str
    deletion_ids: tuple[str, ...] = ()

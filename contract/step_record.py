"""A step as it stands in its record on trace-summaries, before the watermark that covers it, and so in its row."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder, Encoder

from axonstream.event_fields import MAX_ID, MAX_TIME_MS
from axonstream.steps import KINDS, STATUSES, Step, usd

RECORD_VERSION: Literal[1] = 1
USD = r"[0-9]{1,26}(\.[0-9]{1,12})?"  # what a Decimal(38, 12) takes

_Count = Annotated[int, Meta(ge=0, le=MAX_ID)]
_TimeMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
_Name = Annotated[str, Meta(min_length=1)]
_Usd = Annotated[str, Meta(pattern=rf"^{USD}\Z")]


class StepRecord(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False, kw_only=True):
    """One step, as of its event at `version`; times are ms since 1970.

    `step` is the offset of its event that came first, and names it, `arrived_at` the time of that event by the clock of
    the broker. A start that is not known is None, and so is an end. `parent_step` is the parent's `step`. `is_counted`
    says that its tokens and cost are in those of its run. `price` is what its cost was worked out with. A step that is
    no more, as a read of all events put it together otherwise, is `gone`.
    """

    v: Literal[1] = RECORD_VERSION
    tenant_id: _Name
    trace_id: _Name
    step: _Count
    version: _Count
    kind: str
    name: str
    arrived_at: _TimeMs
    status: str
    agent_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    parent_step: _Count | None = None
    depth: _Count = 0
    attempt: _Count = 0
    started_at: _TimeMs | None = None
    ended_at: _TimeMs | None = None
    duration_ms: _Count | None = None
    start_event_id: _Count = 0
    end_event_id: _Count = 0
    error_event_id: _Count = 0
    error_type: str = ""
    error_message: str = ""
    session_id: str = ""
    user_id: str = ""
    environment: str = ""
    customer: str = ""
    workflow: str = ""
    service_name: str = ""
    release: str = ""
    model: str = ""
    provider: str = ""
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cached_input_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    cost_usd: _Usd | None = None
    price: str = ""
    is_counted: Literal[0, 1] = 0
    gone: Literal[0, 1] = 0


COLUMNS = tuple(name for name in StepRecord.__struct_fields__ if name != "v")
_encoder, _decoder = Encoder(), Decoder(StepRecord)
encode_step, decode_step = _encoder.encode, _decoder.decode


def step_key(state_key: bytes, step: int) -> bytes:
    """The key of its record; the second NUL tells it from a summary's."""
    return b"%b\x00%d" % (state_key, step)


def is_step_key(key: bytes | None) -> bool:
    """Whether a record of trace-summaries is of a step."""
    return key is not None and key.count(b"\x00") == 2


def step_record(tenant_id: str, trace_id: str, step: Step) -> StepRecord:
    """The record of `step` as it stands now."""
    status, usage = step.status, step.usage
    session, user, environment, customer, workflow, service, release, model, provider = step.shown
    record = StepRecord(
        tenant_id=tenant_id,
        trace_id=trace_id,
        step=step.offset,
        version=step.version,
        kind=KINDS[step.kind],
        name=step.name,
        arrived_at=step.arrived_at,
        status=STATUSES[status],
        agent_id=step.agent_id,
        span_id=step.span_id,
        parent_span_id=step.parent_span_id,
        parent_step=step.parent if step.parent >= 0 else None,
        depth=step.depth,
        attempt=step.attempt,
        started_at=step.started_at if step.started_at >= 0 else None,
        ended_at=step.end_at if step.end_at >= 0 else None,
        duration_ms=step.duration_ms,
        start_event_id=step.start_event_id,
        end_event_id=step.end_event_id,
        error_event_id=step.error_event_id,
        error_type=step.error_type,
        error_message=step.error_message,
        session_id=session,
        user_id=user,
        environment=environment,
        customer=customer,
        workflow=workflow,
        service_name=service,
        release=release,
        model=model,
        provider=provider,
    )
    if usage is not None:
        record.input_tokens, record.output_tokens = usage.input_tokens, usage.output_tokens
        record.cached_input_tokens, record.reasoning_tokens = usage.cached_input_tokens, usage.reasoning_tokens
        record.cost_usd, record.price = None if usage.cost is None else usd(usage.cost), usage.price
        record.is_counted = 1 if step.is_counted else 0
    return record

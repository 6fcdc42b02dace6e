"""Records of steps as the processor writes them."""

from __future__ import annotations

from typing import Any

from axonstream.contract.step_record import StepRecord, encode_step, step_key
from axonstream.kafka.topics import state_key
from kit.sample_events import NOW_MS, Record


def step_of(trace_id: str = "tr_1", step: int = 0, version: int = 0, **changed: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "tenant_id": "1",
        "kind": "tool",
        "name": "web_search",
        "arrived_at": NOW_MS,
        "status": "open",
        "agent_id": "researcher",
        "started_at": NOW_MS,
        "start_event_id": step + 1,
        "attempt": 1,
    }
    return StepRecord(trace_id=trace_id, step=step, version=version, **fields | changed)


def key_of(step: StepRecord) -> bytes:
    return step_key(state_key(step.tenant_id, step.trace_id), step.step)


def step_on_log(offset: int, step: StepRecord, partition: int = 0) -> Record:
    return Record("trace-summaries", partition, offset, key_of(step), encode_step(step))

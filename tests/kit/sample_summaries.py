"""Summaries as the processor writes them."""

from __future__ import annotations

from typing import Any

from kit.sample_events import NOW_MS


def summary(trace_id: str = "tr_1", first_offset: int = 0, last_offset: int = 5, **changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "v": 1,
        "tenant_id": "1",
        "trace_id": trace_id,
        "first_offset": first_offset,
        "last_offset": last_offset,
        "event_count": last_offset + 1,
        "error_count": 0,
        "tool_call_count": 2,
        "handoff_count": 0,
        "first_at": 5,
        "last_at": NOW_MS,
        "last_received_at": NOW_MS,
        "agents": ["researcher"],
        "event_types": ["agent.start"],
        "first_error_event_id": 0,
        "first_error_step": 0,
        "first_error_span_id": "",
        "first_error_identifier": "",
        "first_error_agent_id": "",
        "exact": 1,
        "root_kind": "agent",
        "root_name": "researcher",
        "root_status": "ok",
    }
    return fields | changed

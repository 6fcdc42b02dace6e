"""The two kinds of record on trace-summaries: the full summary of a trace, and the watermark that ends a chunk."""

from __future__ import annotations

import orjson

from producers.topics import WATERMARK_KEY
from stream_processors.trace_state import FirstError, TraceState

RECORD_VERSION = 1
NO_ERROR = FirstError(0, 0, 0, "", "", "")


def summary_record(key: bytes, state: TraceState) -> tuple[bytes, bytes]:
    """Key and value of a trace's summary; `key` is its state key, which names tenant and trace."""
    tenant_id, trace_id = key.decode().split("\x00")
    error = state.first_error or NO_ERROR
    return key, orjson.dumps(
        {
            "v": RECORD_VERSION,
            "tenant_id": tenant_id,
            "trace_id": trace_id,
            "first_offset": state.first_offset,
            "last_offset": state.last_offset,
            "event_count": state.event_count,
            "error_count": state.error_count,
            "tool_call_count": state.tool_call_count,
            "handoff_count": state.handoff_count,
            "first_at": state.first_at,
            "last_at": state.last_at,
            "last_received_at": state.last_received_at,
            "agents": state.agents,
            "event_types": state.event_types,
            "first_error_event_id": error.event_id,
            "first_error_step": error.step,
            "first_error_span_id": error.span_id,
            "first_error_identifier": error.identifier,
            "first_error_agent_id": error.agent_id,
            "exact": int(state.exact),
        }
    )


def watermark_record(folded: int) -> tuple[bytes, bytes]:
    """All events of this partition below `folded` are in the summaries before this record."""
    return WATERMARK_KEY, orjson.dumps({"v": RECORD_VERSION, "folded": folded})

"""The two kinds of record on trace-summaries: the full summary of a trace, and the watermark that ends a chunk."""

from __future__ import annotations

import orjson

from producers.topics import WATERMARK_KEY
from stream_processors.name_list import names_json
from stream_processors.trace_state import FirstError, TraceState

RECORD_VERSION = 1
_SUMMARY = (
    b'{"v":%d,"tenant_id":%b,"trace_id":%b,"first_offset":%d,"last_offset":%d,"event_count":%d,"error_count":%d,'
    b'"tool_call_count":%d,"handoff_count":%d,"first_at":%d,"last_at":%d,"last_received_at":%d,"agents":%b,'
    b'"event_types":%b,%b,"exact":%d}'
)
_FIRST_ERROR = (
    b'"first_error_event_id":%d,"first_error_step":%d,"first_error_span_id":%b,"first_error_identifier":%b,'
    b'"first_error_agent_id":%b'
)
_NO_ERROR = _FIRST_ERROR % (0, 0, b'""', b'""', b'""')


def summary_record(key: bytes, state: TraceState) -> tuple[bytes, bytes]:
    """Key and value of a trace's summary, a JSON object; `key` is its state key, which names tenant and trace."""
    tenant_id, trace_id = key.decode().split("\x00")
    error = state.first_error
    return key, _SUMMARY % (
        RECORD_VERSION,
        orjson.dumps(tenant_id),
        orjson.dumps(trace_id),
        state.first_offset,
        state.last_offset,
        state.event_count,
        state.error_count,
        state.tool_call_count,
        state.handoff_count,
        state.first_at,
        state.last_at,
        state.last_received_at,
        names_json(state.agents),
        names_json(state.event_types),
        _NO_ERROR if error is None else _first_error(error),
        state.exact,
    )


def _first_error(error: FirstError) -> bytes:
    names = (orjson.dumps(error.span_id), orjson.dumps(error.identifier), orjson.dumps(error.agent_id))
    return _FIRST_ERROR % (error.event_id, error.step, *names)


def watermark_record(folded: int) -> tuple[bytes, bytes]:
    """All events of this partition below `folded` are in the summaries before this record."""
    return WATERMARK_KEY, orjson.dumps({"v": RECORD_VERSION, "folded": folded})

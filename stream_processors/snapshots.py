"""The records on trace-summaries: a step, the full summary of a trace, and the watermark that ends a chunk.

The changelog has the same notes as the watermarks, under a key of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import orjson

from axonstream.contract.step_record import encode_step, step_key, step_record
from axonstream.kafka.record_identity import CommitNote
from axonstream.kafka.topics import FOLDED_KEY, WATERMARK_KEY
from axonstream.run_summary import run_fields
from axonstream.steps import Step
from axonstream.stream_processors.name_list import names_json
from axonstream.stream_processors.output_record import OutputRecord
from axonstream.stream_processors.packed_steps import NO_STEPS
from axonstream.stream_processors.trace_state import FirstError, TraceState
from axonstream.summary_counters import NAMES

RECORD_VERSION = 1
Record = tuple[bytes, bytes]
ONE_BATCH = 200  # records that are surely in one batch, of which Kafka has all or nothing
_SUMMARY = (
    b'{"v":%d,"tenant_id":%b,"trace_id":%b,"first_offset":%d,"last_offset":%d,"event_count":%d,'
    + b"".join(b'"%b":%%d,' % name.encode() for name in NAMES)
    + b'"first_at":%d,"last_at":%d,"last_received_at":%d,"agents":%b,"event_types":%b,%b,"exact":%d}'
)
_FIRST_ERROR = (
    b'"first_error_event_id":%d,"first_error_step":%d,"first_error_span_id":%b,"first_error_identifier":%b,'
    b'"first_error_agent_id":%b'
)
_NO_ERROR = _FIRST_ERROR % (0, 0, b'""', b'""', b'""')


def step_records(steps: Mapping[tuple[bytes, int], Step]) -> list[Record]:
    """The records of steps that changed, by the key of their trace and by what names them in it."""
    records: list[Record] = []
    for (key, at), step in steps.items():
        tenant_id, _, trace_id = key.decode().partition("\x00")
        records.append((step_key(key, at), encode_step(step_record(tenant_id, trace_id, step))))
    return records


def summary_record(key: bytes, state: TraceState) -> tuple[bytes, bytes]:
    """Key and value of a trace's summary, a JSON object; `key` is its state key, which names tenant and trace."""
    tenant_id, trace_id = key.decode().split("\x00")
    error = state.first_error
    said = None
    if state.book != NO_STEPS or state.last_failed or error is not None:
        said = run_fields(
            state.steps,
            last_failed=state.last_failed,
            has_errors=error is not None,
            error_type="" if error is None else error.error_type,
            input_event_id=0 if error is None else error.input_event_id,
        )
    record = _SUMMARY % (
        RECORD_VERSION,
        orjson.dumps(tenant_id),
        orjson.dumps(trace_id),
        state.first_offset,
        state.last_offset,
        state.event_count,
        *state.counts,
        state.first_at,
        state.last_at,
        state.last_received_at,
        names_json(state.agents),
        names_json(state.event_types),
        _NO_ERROR if error is None else _first_error(error),
        state.exact,
    )
    return key, record[:-1] + b"," + orjson.dumps(said)[1:] if said else record


def _first_error(error: FirstError) -> bytes:
    names = (orjson.dumps(error.span_id), orjson.dumps(error.identifier), orjson.dumps(error.agent_id))
    return _FIRST_ERROR % (error.event_id, error.step, *names)


def watermark_record(note: CommitNote, *, anew: bool = False) -> tuple[bytes, bytes]:
    """All events of this partition below `note.folded` are in the summaries before this record.

    `anew`: whatever an earlier watermark said is void, as the log has lost its end and is folded once more.
    """
    return WATERMARK_KEY, note.encode().encode()[:-1] + (b',"anew":1}' if anew else b"}")


def folded_record(note: CommitNote) -> tuple[bytes, bytes]:
    """The watermark of the changelog: the states before this record hold all events below `note.folded`."""
    return FOLDED_KEY, note.encode().encode()


def announced(
    records: Sequence[OutputRecord], start: int, note: CommitNote, record: Callable[[CommitNote], Record]
) -> list[OutputRecord]:
    """The output of a chunk that starts at `start`, and the `record` of its note behind it.

    Where it does not fit into one batch, the note's mark stands before it as well: whatever part of the output outlives
    a log that has lost its end, something says which record it counts on.
    """
    ahead = [record(replace(note, folded=start))] if len(records) > ONE_BATCH else []
    return [*ahead, *records, record(note)]

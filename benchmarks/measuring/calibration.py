"""A fixed piece of work, so that figures of different days and machines can be compared."""

from __future__ import annotations

from time import process_time

import orjson

from benchmarks.measuring.sample_events import NOW_MS, sample_record, trace_id

_LOOPS = 30_000


def calibration_us() -> float:
    """CPU of one orjson.loads of an event of the benchmarks, now, in us."""
    value = sample_record(1, trace_id(1), NOW_MS).value
    loads = orjson.loads
    started = process_time()
    for _ in range(_LOOPS):
        loads(value)
    return (process_time() - started) / _LOOPS * 1e6

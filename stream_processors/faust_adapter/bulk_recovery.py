"""In recovery, changelog records go straight into their table, a fetch at a time: Faust takes 100 us for each."""

from __future__ import annotations

from typing import Any

from faust.tables.recovery import Recovery

from axonstream.process.fail_stop import FailStop
from axonstream.stream_processors.faust_adapter.trace_table import TraceTable


def recovered_in_bulk(recovery: Recovery, fetched: dict[Any, Any]) -> dict[Any, Any]:
    """What is left of a fetch for Faust: of a changelog its last record alone, which ends the recovery.

    Faust counts how far a changelog is read by the records that it takes itself (`active_offsets`), and its recovery
    ends when that reaches the end that it asked for (`active_highwaters`). So it must get the last record, and only a
    fetch that does not reach the end is counted here.
    """
    for tp in list(fetched):
        table = recovery.tp_to_table.get(tp)
        if not isinstance(table, TraceTable) or tp not in recovery.active_tps:
            continue
        records = fetched[tp]
        with FailStop():
            table.state_table.merge(records, tp.partition)
        if records[-1].offset < recovery.active_highwaters[tp]:
            recovery.active_offsets[tp] = records[-1].offset
            del fetched[tp]
        else:
            fetched[tp] = records[-1:]
    return fetched

"""The order in which a batch of trace-summaries is stored: whoever sees a summary sees its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, cast

import orjson

from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import OutcomeUnknownError
from axonstream.sinks.summaries.summary_lines import SummaryBatch
from axonstream.sinks.summaries.summary_store import SummaryStore
from kit.sample_events import Record
from kit.sample_steps import step_of, step_on_log
from kit.sample_summaries import summary


class Stage:
    """Writer, dead letters and ownership in one; the first INSERT is not acknowledged."""

    def __init__(self) -> None:
        self.inserted: list[tuple[str, int]] = []  # table and rows
        self.folded = {0: 0}
        self.folded_then: list[int] = []
        self._fails = True

    async def insert(self, table: str, columns: str, lines: Sequence[bytes], partitions: Iterable[int]) -> None:
        self.folded_then.append(self.folded[0])
        if self._fails:
            self._fails = False
            raise OutcomeUnknownError("no answer")
        self.inserted.append((table, len(lines)))

    async def put(self, *_: object) -> None: ...

    async def may_insert(self) -> None: ...

    async def pause(self, _: float) -> None: ...


def test_steps_are_stored_before_summaries_and_both_before_the_watermark_counts() -> None:
    stage = Stage()
    made: Any = stage
    store = SummaryStore(Settings(sink_max_rows=2), cast("Any", None), made, made, made, 1, stage.folded, {0: None})
    records = [Record("trace-summaries", 0, 0, state_key("1", "tr_1"), orjson.dumps(summary()))]
    records += [step_on_log(1 + step, step_of(step=step, version=step)) for step in range(3)]
    records.append(Record("trace-summaries", 0, 9, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": 6})))
    asyncio.run(store.store(SummaryBatch.of(records)))
    assert stage.inserted == [("steps_log", 2), ("steps_log", 1), ("trace_summaries", 1)]
    assert set(stage.folded_then) == {0}
    assert stage.folded == {0: 6}

"""A sink that kills itself (SIGKILL) at the n-th passing of a named point between reading a record and committing it.

    python -m kit.sink_crash_points "<point>" <n> <file for the passings>

The points are the functions of the product, wrapped here: before its first line, and after its last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.events import event_flow
from axonstream.sinks.events.event_flow import EventFlow
from axonstream.sinks.events.event_store import EventStore
from axonstream.sinks.events.mending import Mending
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.offsets.offset_ledger import OffsetLedger
from axonstream.sinks.summaries import summary_flow
from axonstream.sinks.summaries.summary_flow import SummaryFlow
from axonstream.sinks.summaries.summary_store import SummaryStore
from axonstream.sinks.worker import run
from axonstream.sinks.writing.table_writer import TableWriter
from kit.passings import Passings

# (what, where it is called, its name there, which argument says more)
_STEPS: list[tuple[str, Any, str, Callable[..., str] | None]] = [
    ("event epoch", event_flow, "current_epoch", None),
    ("summary epoch", summary_flow, "current_epoch", None),
    ("kill of old INSERTs", TableWriter, "kill", None),
    ("event positions", event_flow, "read_positions", None),
    ("summary positions", summary_flow, "read_positions", None),
    ("ceiling", EventFlow, "_ceiling", None),
    ("begin events", EventFlow, "begin", None),
    ("begin summaries", SummaryFlow, "begin", None),
    ("taking the commit back", Mending, "_take_back", None),
    ("may insert", Ownership, "may_insert", None),
    ("look", EventStore, "_present", None),
    ("slice of events", EventStore, "_attempt", None),
    ("slice of summaries", SummaryStore, "_insert", None),
    ("insert", TableWriter, "insert", lambda _, table, *rest: str(table)),
    ("dead letters to Kafka", DeadLetters, "_produce", None),
    ("dead letters to ClickHouse", DeadLetters, "_insert", None),
    ("commit", AIOKafkaConsumer, "commit", lambda _, offsets: str(min(offsets).topic).rpartition("-")[2]),
]
_BRACKETED = ("attempting", "settled")  # plain functions of the ledger


class Steps:
    """Wraps the steps, so that each tells when it is passed; without a point to die at, all passings are written."""

    def __init__(self, passings: Passings, file: Path) -> None:
        self._passings, self._file = passings, file

    def passes(self, point: str) -> None:
        self._passings.passes(point)
        if not self._passings.point:
            self._passings.write(self._file)

    def wrap(self, what: str, owner: Any, name: str, more: Callable[..., str] | None) -> None:
        original = getattr(owner, name)

        @wraps(original)
        async def step(*args: Any) -> Any:
            point = f"{what} {more(*args)}" if more else what
            self.passes(f"before {point}")
            result = await original(*args)
            self.passes(f"after {point}")
            return result

        setattr(owner, name, step)

    def wrap_ledger(self, name: str) -> None:
        original = getattr(OffsetLedger, name)

        def step(ledger: OffsetLedger, last: int) -> None:
            self.passes(f"before {name}")
            original(ledger, last)
            self.passes(f"after {name}")

        setattr(OffsetLedger, name, step)


def main(point: str, number: str, file: str) -> None:
    steps = Steps(Passings(point, int(number)), Path(file))
    for step in _STEPS:
        steps.wrap(*step)
    for name in _BRACKETED:
        steps.wrap_ledger(name)
    run(Settings())


if __name__ == "__main__":
    main(*sys.argv[1:])

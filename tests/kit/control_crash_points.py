"""A process that changes control data and kills itself (SIGKILL) at the n-th passing of a named point on the way.

    python -m kit.control_crash_points <small or large> "<point>" <n> <file for the passings>

The small change is one batch of Kafka's log, the large one several. Settings come from the environment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from axonstream.gateway.control.audit_entry import Action, Actor, entry
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.control.records import App, ControlRecord, Kind, Place, new_id
from axonstream.settings.settings import Settings
from kit.passings import Passings

LARGE = 4_000  # records; with names of 250 bytes twice the bytes of a batch


def wrap(passes: Callable[[str], None]) -> None:
    append, send = BatchBuilder.append, AIOKafkaProducer.send_batch

    def appending(batch: BatchBuilder, **record: Any) -> Any:
        passes("before a record is in its batch")
        return append(batch, **record)

    async def sending(producer: AIOKafkaProducer, *args: Any, **named: Any) -> Any:
        passes("before a batch is sent")
        acknowledged = await send(producer, *args, **named)
        passes("after a batch is sent")

        async def awaited() -> Any:
            result = await acknowledged
            passes("after a batch is acknowledged")
            return result

        return awaited()

    for owner, name, step in ((BatchBuilder, "append", appending), (AIOKafkaProducer, "send_batch", sending)):
        setattr(owner, name, step)


async def change(size: str, mark: str) -> None:
    """Apps of tenant `mark`, all in one change."""
    control = ControlLog(Settings(), ControlData())
    await control.start()
    numbers = [new_id() for _ in range(LARGE if size == "large" else 2)]
    records = [ControlRecord(Place(Kind.APP, mark, n), App(n, "x" * 250, 5, 5)) for n in numbers]
    made = entry(Actor("a test", "here"), Action.APP_CREATE, "apps", at=5, tenant_id=mark)
    await control.write(records, made)
    await control.stop()


def main(size: str, point: str, number: str, file: str) -> None:
    passings = Passings(point, int(number))
    wrap(passings.passes)
    asyncio.run(change(size, f"{size} {point} {number}".replace("/", "-")))
    passings.write(Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""With which exit code the sink ends: a supervisor starts it again, or leaves it to a person."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from axonstream.kafka.errors import NoTopicError
from axonstream.settings.settings import Settings
from axonstream.sinks import worker
from axonstream.sinks.errors import (
    EXIT_MISMATCH,
    EXIT_UNAVAILABLE,
    DeadLettersError,
    EpochError,
    LeaseLostError,
    SettingsError,
    SinkError,
    TableRefusesError,
    TooManyBadEventsError,
)


class CancelledWhileStopping:
    """Stops as aiokafka's consumer does when its tasks were cancelled: their CancelledError comes out of stop()."""

    async def stop(self) -> None:
        fetching = asyncio.create_task(asyncio.sleep(3600))
        fetching.cancel()
        await fetching


async def _end_with(error: SinkError | NoTopicError) -> None:
    """As the sink's work ends: nested task groups, and a consumer to leave."""
    async with asyncio.TaskGroup(), AsyncExitStack() as stack:
        stack.push_async_callback(worker._leave, cast("Any", CancelledWhileStopping()))
        async with asyncio.TaskGroup():
            raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EpochError, EXIT_MISMATCH),
        (NoTopicError, EXIT_MISMATCH),
        (SettingsError, EXIT_MISMATCH),
        (TableRefusesError, EXIT_MISMATCH),
        (TooManyBadEventsError, EXIT_MISMATCH),
        (DeadLettersError, EXIT_UNAVAILABLE),
    ],
)
def test_the_error_that_ends_the_sink_chooses_its_exit_code(
    error: type[SinkError | NoTopicError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_run", lambda *_: _end_with(error("told")))
    with pytest.raises(SystemExit) as ended:
        worker.run(Settings())
    assert ended.value.code == code


def test_any_other_error_ends_the_sink_as_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_run", lambda *_: _end_with(LeaseLostError("told")))
    with pytest.raises(ExceptionGroup):
        worker.run(Settings())

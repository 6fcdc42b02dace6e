"""While records are judged, and while bodies are split, whatever else runs on the event loop has its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from axonstream.kafka.topics import event_key
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.gathering import judge as add_judged
from axonstream.stream_processors.faust_adapter.chunk import CHUNK_BYTES, folded_at_once
from kit.dear_events import DEAR_PAYLOADS
from kit.sample_events import Record, event_value

DEAR = DEAR_PAYLOADS["objects nested 90 deep"]


def records(count: int) -> list[Record]:
    return [Record("agent-events", 0, at, event_key("t"), event_value("t", at, DEAR)) for at in range(count)]


async def turns_of_others(work: Callable[[], Awaitable[None]]) -> int:
    """How often another task had its turn while the work was done."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await work()
    task.cancel()
    return turns


@pytest.mark.slow
def test_others_have_their_turn_while_dear_events_are_judged() -> None:
    """S4: one fetch of the sink, of several seconds, without a turn for its heartbeat."""
    fetched, batch = records(20), EventBatch(1)

    async def judge() -> None:
        await add_judged([fetched], batch)

    turns = asyncio.run(turns_of_others(judge))
    assert batch.records == len(batch.rows) == 20
    assert turns > 10  # each event alone takes longer than a piece of work may


def test_a_fetch_of_the_processor_is_folded_in_pieces() -> None:
    fetched = records(20)
    pieces = folded_at_once(fetched)
    assert [record for piece in pieces for record in piece] == fetched
    assert max(sum(len(record.value or b"") for record in piece) for piece in pieces) <= CHUNK_BYTES
    assert folded_at_once(fetched[:1]) == [fetched[:1]]
    assert folded_at_once([]) == [[]]

"""Output that waits for other output is sent after it, in order, and never when that failed."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Any

import pytest

from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.queue_in_turn import QueueInTurn


class Sent:
    """What was sent to which place, and the acknowledgements that a test gives."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, str]] = []
        self.waiting: list[Future[Any]] = []
        self.in_turn: QueueInTurn[str, str] = QueueInTurn(self.send)

    def send(self, place: str, batch: str) -> Future[Any]:
        self.batches.append((place, batch))
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    async def acknowledge(self, at: int, error: Exception | None = None) -> None:
        self.waiting[at].set_result(at) if error is None else self.waiting[at].set_exception(error)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_states_are_sent_once_their_summaries_are_acknowledged_and_chunks_keep_their_order() -> None:
    async def scenario() -> None:
        sent = Sent()
        first = sent.in_turn.queue("summaries", ["s1", "s2"])
        of_first = sent.in_turn.queue("states", ["c1"], first)
        second = sent.in_turn.queue("summaries", ["s3"])
        of_second = sent.in_turn.queue("states", ["c2"], second)
        tombstone = sent.in_turn.queue("states", ["t"])
        assert sent.batches == [("summaries", "s1"), ("summaries", "s2"), ("summaries", "s3")]
        for at in (2, 0):
            await sent.acknowledge(at)
        assert len(sent.batches) == 3, "the second chunk is ready, and waits for the first"
        await sent.acknowledge(1)
        assert sent.batches[3:] == [("states", "c1"), ("states", "c2"), ("states", "t")]
        assert not any(future.done() for future in (*of_first, *of_second, *tombstone))
        for at in (3, 4, 5):
            await sent.acknowledge(at)
        assert [future.result() for future in (*of_first, *of_second, *tombstone)] == [3, 4, 5]
        assert sent.in_turn.queue("states", ["c3"]), "with nothing before it, it is sent at once"
        assert sent.batches[-1] == ("states", "c3")

    asyncio.run(scenario())


def test_what_is_added_to_a_list_of_acknowledgements_later_is_not_waited_for() -> None:
    async def scenario() -> None:
        sent = Sent()
        outputs = sent.in_turn.queue("summaries", ["s"])
        outputs += sent.in_turn.queue("states", ["c"], outputs)
        await sent.acknowledge(0)
        assert sent.batches[-1] == ("states", "c")

    asyncio.run(scenario())


def test_when_a_summary_is_not_stored_no_state_is_sent_any_more() -> None:
    async def scenario() -> None:
        sent = Sent()
        lost = sent.in_turn.queue("summaries", ["s"])
        states = sent.in_turn.queue("states", ["c1"], lost)
        later = sent.in_turn.queue("states", ["c2"], sent.in_turn.queue("summaries", ["s2"]))
        await sent.acknowledge(0, ConnectionError("gone"))
        await sent.acknowledge(1)
        with pytest.raises(BrokenInvariantError, match="what must come before"):
            sent.in_turn.queue("states", ["t"])
        assert [place for place, _ in sent.batches] == ["summaries", "summaries"]
        for future in (*states, *later):
            with pytest.raises(BrokenInvariantError, match="what must come before"):
                future.result()

    asyncio.run(scenario())

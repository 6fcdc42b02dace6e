"""A sink that takes a name over waits for the lease of its former holder, where that may still live."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from axonstream.kafka.lease import Lease
from axonstream.sinks.membership.assignment import Assignment
from axonstream.sinks.membership.name_holder import held_elsewhere

MINE = "sink-0-0a0a0a0a"
PARTITIONS = [TopicPartition("agent-events", 0)]
FAR_AWAY_S = 3600.0


def group_of(*members: tuple[str, str], code: int = 0) -> Any:
    """A consumer whose coordinator says this of the group; `members` are instance and client id."""
    told = [(f"{instance}-{uuid4()}", client_id, "/10.0.0.1", b"", b"") for instance, client_id in members]
    dead: list[bool] = []

    async def known() -> None:
        return None

    async def send(_: Any) -> Any:
        return SimpleNamespace(groups=[(code, "group", "Stable", "consumer", "range", told)])

    coordinator = SimpleNamespace(
        group_id="group",
        ensure_coordinator_known=known,
        _send_req=send,
        coordinator_dead=lambda: dead.append(True),
        dead=dead,
    )
    return SimpleNamespace(_coordinator=coordinator)


@pytest.mark.parametrize(
    ("members", "is_held"),
    [
        ([], False),
        ([("sink-0", MINE)], False),  # the one before, on this machine: its lock is free
        ([("sink-0", "sink-0-0b0b0b0b")], True),
        ([("sink-0", "sink-0")], True),  # of a version that did not tell its place
        ([("sink-1", "sink-1-0b0b0b0b"), ("sink-0-1", "sink-0-1-0b0b0b0b")], False),
        ([("sink-vm-7", "sink-vm-7")], False),
    ],
)
def test_who_has_the_name_elsewhere(members: list[tuple[str, str]], is_held: bool) -> None:
    assert asyncio.run(held_elsewhere(group_of(*members), "sink-0", MINE)) is is_held


def test_a_coordinator_that_does_not_say_is_asked_again() -> None:
    consumer = group_of(code=14)  # it loads the group
    with pytest.raises(KafkaError, match="does not tell its members"):
        asyncio.run(held_elsewhere(consumer, "sink-0", MINE))
    assert consumer._coordinator.dead


def test_the_first_look_waits_for_the_lease_of_a_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("axonstream.sinks.membership.assignment.boot_clock", lambda: now)

    async def story() -> None:
        nonlocal now
        assignment = Assignment(Lease(FAR_AWAY_S, lambda: now))
        await assignment.begin(PARTITIONS)
        assert await assignment.ownership()
        assignment.expect_rival()  # its place was taken, and is about to be taken back
        await assignment.end()
        await assignment.begin(PARTITIONS)
        waiting = asyncio.create_task(assignment.ownership())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        await assignment.end()  # a rebalance meanwhile does not wait for it, nor does the wait begin anew
        now += FAR_AWAY_S
        await assignment.begin(PARTITIONS)
        ownership = await asyncio.wait_for(waiting, 60)
        assert not ownership.is_over

    asyncio.run(story())

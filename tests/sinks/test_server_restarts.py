"""A restarted ClickHouse makes the sink begin again with what it owns, and a revocation still waits for the flows."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition

from axonstream.kafka.lease import Lease
from axonstream.sinks.errors import RevokedError
from axonstream.sinks.membership.assignment import Assignment
from axonstream.sinks.writing.server_restarts import ServerLives

TP = TopicPartition("agent-events", 0)


def test_only_a_server_that_was_known_and_runs_since_later_has_been_restarted() -> None:
    lives = ServerLives()
    assert not lives.is_new_life("a", 1000)
    assert not lives.is_new_life("a", 1001), "it tells whole seconds"
    assert not lives.is_new_life("b", 2000), "another server behind the same address"
    assert lives.is_new_life("a", 1500)
    assert not lives.is_new_life("a", 1500)


def test_a_tenure_begins_again_with_the_same_partitions() -> None:
    async def story() -> None:
        assignment = Assignment(Lease(1e9))
        await assignment.begin([TP])
        first = await assignment.ownership()
        async with first.working():
            again = asyncio.create_task(assignment.again(first))
            with pytest.raises(RevokedError):
                await first.pause(60)
            assert not again.done(), "a flow is still working"
        await again
        second = await assignment.ownership()
        assert second is not first
        assert second.partitions == first.partitions
        await assignment.again(first)
        assert await assignment.ownership() is second, "that ownership is over already"

    asyncio.run(story())


def test_a_revocation_during_the_new_beginning_ends_the_new_tenure() -> None:
    async def story() -> None:
        assignment = Assignment(Lease(1e9))
        await assignment.begin([TP])
        first = await assignment.ownership()
        async with first.working():
            again = asyncio.create_task(assignment.again(first))
            with pytest.raises(RevokedError):
                await first.pause(60)
            revoked = asyncio.create_task(assignment.end())
            done, _ = await asyncio.wait([revoked], timeout=0.05)
            assert not done, "the flows have not left the first ownership"
        await asyncio.gather(again, revoked)
        waiting = asyncio.create_task(assignment.ownership())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done, "nothing is owned after a revocation"
        waiting.cancel()

    asyncio.run(story())

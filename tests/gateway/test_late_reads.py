"""The load of one tenant gives way to a late read of another, and to nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from axonstream.gateway.reading.late_reads import LATE_S, LOUD_EVENTS, LOUD_READS, STANDS_AFTER_S, WINDOW_S, LateReads


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Case:
    """A gateway on which "loud" has just published a load, and "quiet" reads."""

    def __init__(self, most_wait_s: float = 60) -> None:
        self.clock = Clock()
        self.late_reads = LateReads(self.clock, most_wait_s)
        self.late_reads.published("loud", LOUD_EVENTS)
        self.late_reads.moved()

    @asynccontextmanager
    async def late_read(self, tenant_id: str = "quiet") -> AsyncGenerator[None]:
        async with self.late_reads.reading(tenant_id):
            self.clock.now += LATE_S
            yield


async def ends_at_once(work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work ended without waiting for anything; it is ended otherwise."""
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.wait([task])
    return ended


async def read(late_reads: LateReads, tenant_id: str) -> None:
    async with late_reads.reading(tenant_id):
        pass


def test_a_load_waits_until_the_late_read_of_another_is_answered() -> None:
    async def scenario() -> None:
        case = Case()
        async with case.late_read():
            publish = asyncio.create_task(case.late_reads.before_publishing("loud"))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not publish.done()
        await asyncio.wait_for(publish, 60)
        assert case.late_reads.held == 1

    asyncio.run(scenario())


def test_a_load_waits_for_no_longer_than_the_bound() -> None:
    async def scenario() -> None:
        case = Case(most_wait_s=0.001)
        async with case.late_read():
            await asyncio.wait_for(waits_with_a_clock(case), 60)

    async def waits_with_a_clock(case: Case) -> None:
        waiting = asyncio.create_task(case.late_reads.before_publishing("loud"))
        while not waiting.done():
            case.clock.now += 0.001
            await asyncio.sleep(0)
        assert case.late_reads.held == 1

    asyncio.run(scenario())


def test_reads_of_a_load_wait_too_and_one_that_has_begun_is_not_held() -> None:
    async def scenario() -> None:
        case = Case()
        for _ in range(LOUD_READS):
            await read(case.late_reads, "loud")
        async with case.late_read():
            assert not await ends_at_once(read(case.late_reads, "loud"))

    asyncio.run(scenario())


def test_two_loads_do_not_wait_for_what_waits_itself() -> None:
    async def scenario() -> None:
        case = Case()
        for tenant_id in ("loud", "loud too"):
            for _ in range(LOUD_READS):
                await read(case.late_reads, tenant_id)
        async with case.late_read():
            held = [asyncio.create_task(read(case.late_reads, tenant)) for tenant in ("loud", "loud too")]
            for _ in range(5):
                await asyncio.sleep(0)
            case.clock.now += LATE_S
            assert not any(task.done() for task in held)
        await asyncio.wait_for(asyncio.gather(*held), 60)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("publisher", "reader", "later_s", "what"),
    [
        ("loud", "loud", 0.0, "a tenant alone"),
        ("small", "quiet", 0.0, "a tenant that sends little"),
        ("loud", "quiet", STANDS_AFTER_S + 1, "a pipeline that stands"),
        ("loud", "quiet", -LATE_S / 2, "a read that is not late"),
    ],
)
def test_nobody_waits_without_need(publisher: str, reader: str, later_s: float, what: str) -> None:
    async def scenario() -> None:
        case = Case()
        case.late_reads.published("small", LOUD_EVENTS - 1)
        async with case.late_read(reader):
            case.clock.now += later_s
            assert await ends_at_once(case.late_reads.before_publishing(publisher)), what

    asyncio.run(scenario())


def test_a_tenant_with_less_than_an_even_share_does_not_wait() -> None:
    async def scenario() -> None:
        case = Case()
        case.late_reads.published("loud", 10 * LOUD_EVENTS)
        case.late_reads.published("busy", LOUD_EVENTS)
        async with case.late_read():
            assert await ends_at_once(case.late_reads.before_publishing("busy"))
            assert not await ends_at_once(case.late_reads.before_publishing("loud"))

    asyncio.run(scenario())


def test_a_load_of_the_past_is_forgotten() -> None:
    async def scenario() -> None:
        case = Case()
        for _ in range(2):
            case.clock.now += WINDOW_S
            case.late_reads.published("quiet", 1)
        case.late_reads.moved()
        async with case.late_read():
            assert await ends_at_once(case.late_reads.before_publishing("loud"))

    asyncio.run(scenario())


def test_after_a_late_read_a_load_begins_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that had waited began at once, and made the next read late."""
    monkeypatch.setattr("axonstream.gateway.reading.late_reads.PUBLISH_GAP_S", 3600.0)

    async def scenario() -> None:
        case = Case()
        async with case.late_read():
            pass
        assert not await ends_at_once(case.late_reads.before_publishing("loud")), "it comes behind its gap"
        assert await ends_at_once(case.late_reads.before_publishing("quiet"))
        case.clock.now += WINDOW_S
        case.late_reads.published("loud", LOUD_EVENTS)
        case.late_reads.moved()
        assert await ends_at_once(case.late_reads.before_publishing("loud")), "the reads of others are in time again"

    asyncio.run(scenario())


def test_a_late_read_of_a_loud_reader_holds_nobody_afterwards() -> None:
    async def scenario() -> None:
        case = Case()
        for _ in range(LOUD_READS):
            await read(case.late_reads, "loud too")
        async with case.late_read("loud too"):
            pass
        assert await ends_at_once(case.late_reads.before_publishing("loud"))

    asyncio.run(scenario())


def test_a_late_read_of_ones_own_hides_that_of_no_other() -> None:
    """Who publishes a lot, and reads a little and late, waits for others all the same."""

    async def scenario() -> None:
        case = Case()
        async with case.late_read():
            pass
        async with case.late_reads.reading("loud"):
            case.clock.now += LATE_S
        assert not await ends_at_once(case.late_reads.before_publishing("loud"))

    asyncio.run(scenario())


def test_each_load_waits_in_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tenant with many requests kept another one behind all of them."""
    monkeypatch.setattr("axonstream.gateway.reading.late_reads.PUBLISH_GAP_S", 0.0)

    async def scenario() -> None:
        case = Case()
        case.late_reads.published("loud too", LOUD_EVENTS)
        async with case.late_read():
            first = asyncio.create_task(case.late_reads.before_publishing("loud"))
            await asyncio.sleep(0)
            row = case.late_reads._publish_gates
            assert row.of("loud").locked()
            assert not row.of("loud too").locked()
        await asyncio.wait_for(first, 60)

    asyncio.run(scenario())

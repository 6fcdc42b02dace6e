"""When a flush may start."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition

from axonstream.kafka.lease import Lease
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import LeaseLostError, RevokedError, SettingsError
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.worker import _lease_s
from axonstream.sinks.writing.pace import Pace
from axonstream.sinks.writing.table_writer import partitions_of

TP = TopicPartition("agent-events", 0)


def test_the_first_flush_after_a_quiet_time_starts_at_once() -> None:
    pace = Pace(0.05)
    assert pace.wait_s(100) == 0
    pace.flushed(100, 100.01)
    assert pace.wait_s(100.05) == 0


def test_flushes_keep_their_distance_and_more_of_it_when_they_are_slow() -> None:
    pace = Pace(0.05)
    pace.flushed(100, 100.01)
    assert pace.wait_s(100.01) == pytest.approx(0.04)
    pace.flushed(100, 100.5)
    assert pace.wait_s(100.5) == pytest.approx(0.5)


def test_an_outage_is_not_paid_for_a_second_time() -> None:
    pace = Pace(0.05)
    pace.flushed(0, 600)
    assert pace.wait_s(600) == pytest.approx(1)


def test_a_lease_that_does_not_come_back_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.sinks.membership.ownership.LEASE_GIVEN_UP_S", 0.1)
    with pytest.raises(LeaseLostError):
        asyncio.run(Ownership([TP], Lease(5)).may_insert())


def test_no_insert_starts_without_the_lease() -> None:
    now = 0.0
    lease = Lease(5, clock=lambda: now)

    async def allowed(ownership: Ownership) -> bool:
        waiting = asyncio.create_task(ownership.may_insert())
        done, _ = await asyncio.wait([waiting], timeout=0.12)
        waiting.cancel()
        return bool(done)

    async def story() -> None:
        nonlocal now
        ownership = Ownership([TP], lease)
        assert not await allowed(ownership)
        lease.renew(0.0)
        assert await allowed(ownership)
        now = 4.6
        assert not await allowed(ownership)

    asyncio.run(story())


def test_a_revocation_waits_for_what_is_under_way_and_lets_nothing_new_start() -> None:
    async def story() -> None:
        lease = Lease(1e9)
        lease.renew(0)
        ownership = Ownership([TP], lease)
        async with ownership.working():
            ending = asyncio.create_task(ownership.end())
            with pytest.raises(RevokedError):
                await ownership.pause(60)
            with pytest.raises(RevokedError):
                await ownership.may_insert()
            assert not ending.done()
        await ending
        with pytest.raises(RevokedError):
            async with ownership.working():
                pytest.fail("an ownership that has ended lets nobody in")

    asyncio.run(story())


def test_a_query_id_names_its_partitions() -> None:
    assert partitions_of("group/with/slash/events_log/0.3.12/abc") == {0, 3, 12}
    assert partitions_of("someone else's") == set()


def test_an_insert_that_could_outlast_the_session_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="AXONSTREAM_INSERT_TIMEOUT_MS"):
        _lease_s(Settings(insert_timeout_ms=9000, session_timeout_ms=10_000))

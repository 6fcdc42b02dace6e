"""What few may do at once: one tenant's slow requests leave turns to the others, and turns that end are given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from held_bulk_requests import held_bulk_requests
from hypothesis import given
from hypothesis import strategies as st

from axonstream.gateway.access.concurrency_limits import ConcurrencyLimit
from axonstream.gateway.access.shares import Shares
from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.settings.settings import Settings
from kit.offline_gateway import OfflineGateway
from kit.until import until

EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}


def test_a_tenant_has_its_share_and_what_ends_is_given_back() -> None:
    async def scenario() -> None:
        turns = ConcurrencyLimit(3, 2, 0.05, "all are taken")
        for _ in range(3):
            async with turns.turn("1"), turns.turn("1"):
                with pytest.raises(UnavailableError, match="all are taken"):
                    async with turns.turn("1"):
                        pass
                assert turns.contended("1")
                assert not turns.contended("2")
                async with turns.turn("2"):
                    assert turns.contended("2")
                    with pytest.raises(UnavailableError, match="all are taken"):
                        async with turns.turn("3"):
                            pass
        assert (turns.in_use, turns.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_turn_goes_to_the_tenant_that_has_waited_longest_and_none_is_lost() -> None:
    """S10: turns went to who came first, so a tenant with many requests let the others wait for all of them."""

    async def scenario() -> None:
        turns, order = ConcurrencyLimit(1, 1, None, ""), list[str]()

        async def work(tenant: str) -> None:
            async with turns.turn(tenant):
                order.append(tenant)
                await asyncio.sleep(0)

        async with turns.turn("held"):
            tasks = [asyncio.create_task(work(tenant)) for tenant in "aaaabbc"]
            await asyncio.sleep(0)
            assert turns.waiting == 7
            tasks[1].cancel()
            tasks[6].cancel()
            await asyncio.wait([tasks[1], tasks[6]])
            assert turns.waiting == 5
        await asyncio.wait(tasks)
        assert order == ["a", "b", "a", "b", "a"]
        assert (turns.in_use, turns.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_turn_that_is_given_to_who_leaves_at_that_moment_goes_on_to_the_next() -> None:
    async def scenario() -> None:
        turns, order = ConcurrencyLimit(1, 1, None, ""), list[str]()

        async def work(tenant: str) -> None:
            async with turns.turn(tenant):
                order.append(tenant)

        async with turns.turn("held"):
            leaves, stays = (asyncio.create_task(work(tenant)) for tenant in "ab")
            await asyncio.sleep(0)
        leaves.cancel()  # the turn is its already
        await asyncio.wait([leaves, stays])
        assert order == ["b"]
        assert turns.in_use == 0

    asyncio.run(scenario())


@given(st.integers(1, 50), st.integers(1, 50))
def test_two_tenants_that_take_all_they_can_leave_room_for_a_third(total: int, per_tenant: int) -> None:
    """S10: one tenant took all live streams of a gateway."""
    shares = Shares(total, min(per_tenant, total * 3 // 4 or 1))
    for tenant in "abc":
        while shares.has_room_for(tenant):
            assert not shares.full
            shares.take(tenant)
        if total >= 5:
            assert shares.in_use < total or tenant == "c"
    for tenant in "abc":
        while shares._held[tenant]:
            shares.give_back(tenant)
    assert shares.in_use == 0


def test_bulk_bodies_of_one_tenant_that_do_not_come_hold_up_no_other(offline: OfflineGateway) -> None:
    async def scenario() -> None:
        async with held_bulk_requests(offline) as client, asyncio.timeout(60):
            answer = await client.post("/events", json=[EVENT], headers=OTHER)
            assert answer.json()["accepted"] == 1

    asyncio.run(scenario())


@pytest.mark.services
def test_traces_that_one_tenant_reads_slowly_hold_up_no_other(server_settings: Settings) -> None:
    async def scenario() -> None:
        queries, begun = TraceQueries(ClickHouseReads(server_settings)), list[int]()

        async def slow() -> None:
            async with queries.all_events("1", "t"):
                begun.append(1)
                await asyncio.Event().wait()

        held = [asyncio.create_task(slow()) for _ in range(server_settings.reads_at_once)]
        await until(lambda: len(begun) >= server_settings.reads_at_once // 2, "traces are being read", 60)
        async with asyncio.timeout(60), queries.all_events("2", "t") as blocks:
            assert [block async for block in blocks] == []
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        await queries.reads.close()

    asyncio.run(scenario())

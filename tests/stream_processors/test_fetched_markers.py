"""A fetch with nothing but transaction markers ends the wait: whoever reads what stands before them waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from test_chunked_consumer import EVENTS, a_consumer

FAR_AWAY_S = 3600.0


class Fetched:
    """What a thread sees of its aiokafka consumer: positions, and a waiter for the next fetch."""

    def __init__(self) -> None:
        self.at = 5
        self.waiting: asyncio.Future[None] | None = None
        subscriptions = SimpleNamespace(fetch_context=nullcontext)
        self._fetcher = SimpleNamespace(_create_fetch_waiter=self._waiter, _subscriptions=subscriptions)
        assignment = SimpleNamespace(all_consumed_offsets=self._offsets)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))

    def _waiter(self) -> asyncio.Future[None]:
        self.waiting = asyncio.get_running_loop().create_future()
        return self.waiting

    def _offsets(self) -> Mapping[TopicPartition, Any]:
        return {TopicPartition(*EVENTS): SimpleNamespace(offset=self.at)}


@pytest.mark.parametrize("flows", [True, False])
def test_a_fetch_without_records_says_how_far_it_moved(flows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with a_consumer() as consumer:
            client = Fetched()
            has_come = False

            async def taken(
                _thread: Any, _consumer: Any, _active: Any, timeout: float, _most: Any
            ) -> Mapping[Any, Any]:
                assert not timeout
                if has_come:
                    client.at = 7  # past two markers
                return {}

            monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", taken)
            if flows:
                consumer.resume_flow()
            else:
                consumer.stop_flow()
            thread = cast("Any", consumer._thread)
            fetching = asyncio.create_task(thread._fetch_records(client, {EVENTS}, FAR_AWAY_S))
            if flows:
                while client.waiting is None:
                    await asyncio.sleep(0)
                assert not fetching.done()
                has_come = True
                client.waiting.set_result(None)
            assert await asyncio.wait_for(fetching, 60) == {}
            assert thread.moves == ({EVENTS: (5, 7)} if flows else {})

    asyncio.run(scenario())

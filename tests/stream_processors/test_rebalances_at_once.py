"""Rebalances that follow each other while a machine is busy: nothing is decided too early, lost, or never gone on with.

Two workers that start together make two rebalances within a second, so that each meets a fetch or a recovery that the
one before it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import IllegalStateError
from faust.tables.recovery import RebalanceAgain
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from test_chunked_consumer import EVENTS, a_consumer

from axonstream.stream_processors.faust_adapter.chunked_consumer import ChunkedConsumer
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.faust_adapter.leased_thread import LeasedConsumerThread
from axonstream.stream_processors.start_position import Known, Start

CHANGELOG = TP("unit-axonstream-processor-traces-changelog", 0)


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def record(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


def test_a_fetch_that_ends_while_the_flow_is_stopped_decides_nothing_before_the_recovery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I16: where folding begins depends on states that are recovered only later."""

    async def seek() -> None:
        raise AssertionError("the positions were sought before the states were recovered")

    async def scenario() -> None:
        async with a_consumer() as consumer:
            monkeypatch.setattr(consumer, "perform_seek", seek)
            consumer._active_partitions = {CHANGELOG}

            async def fetch(*_: Any, **__: Any) -> Mapping[Any, Any]:
                consumer.stop_flow()
                return {CHANGELOG: [record(0)]}

            async def delivered() -> list[Any]:
                return [message async for message in cast("Any", consumer.getmany(1.0))]

            monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", fetch)
            draining = asyncio.create_task(delivered())
            await some_turns()
            assert not draining.done()
            consumer.resume_flow()
            assert await asyncio.wait_for(draining, 60) == []

    asyncio.run(scenario())


def test_a_seek_that_a_rebalance_overtakes_does_not_let_the_flow_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """I6, I13: it would fold and write what another worker owns now."""

    async def nothing(*_: Any) -> None:
        return None

    for name in ("perform_seek", "on_partitions_revoked", "on_partitions_assigned"):
        monkeypatch.setattr(Consumer, name, nothing)
    monkeypatch.setattr(ChunkedProducer, "take_over", nothing)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            monkeypatch.setattr(consumer, "assignment", lambda: {EVENTS})
            monkeypatch.setattr(consumer, "commit", nothing)

            async def found_while_it_is_revoked(self: ChunkedConsumer, *_: Any) -> dict[TP, tuple[Known, Start]]:
                await self.on_partitions_revoked({EVENTS})
                return {EVENTS: (Known(0, 9), Start(0))}

            monkeypatch.setattr(ChunkedConsumer, "_found_starts", found_while_it_is_revoked)
            with pytest.raises(RebalanceAgain):
                await consumer.perform_seek()
            assert (consumer._ledgers, consumer._to_open) == ({}, {})
            consumer.resume_flow()  # by the recovery before
            assert not consumer.flow_active
            await consumer.on_partitions_assigned({EVENTS})
            consumer.resume_flow()  # by the one that begins then
            assert consumer.flow_active

    asyncio.run(scenario())


@pytest.mark.parametrize("left_by", ["a revocation that raised", "a comparison that ended after the revocation"])
def test_what_a_revocation_has_left_is_forgotten_at_the_assignment(
    left_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka logs what a revocation raises, and assigns all the same."""

    async def nothing(*_: Any) -> None:
        return None

    async def no_commit(*_: Any) -> None:
        if left_by == "a revocation that raised":
            raise RuntimeError(left_by)

    for name in ("on_partitions_revoked", "on_partitions_assigned"):
        monkeypatch.setattr(Consumer, name, nothing)
    monkeypatch.setattr(ChunkedProducer, "take_over", nothing)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            monkeypatch.setattr(consumer, "commit", no_commit)
            with suppress(RuntimeError):
                await consumer.on_partitions_revoked({EVENTS})
            await consumer._continuity.must_follow(EVENTS, [marked(4)], cast("Any", Leaders()))
            assert consumer._continuity._reached
            await consumer.on_partitions_assigned({EVENTS})
            assert (consumer._ledgers, consumer._continuity._reached) == ({}, {})

    asyncio.run(scenario())


class Leaders:
    """Who never change."""

    def doubts(self, *_: Any) -> list[int]:
        return []

    def epoch_at(self, *_: Any) -> int:
        return 1


def marked(offset: int) -> Any:
    return SimpleNamespace(offset=offset, timestamp=1, key=b"k", value=b"v")


class Position:
    """What a thread moves in its aiokafka consumer."""

    def __init__(self, assigned: set[TP]) -> None:
        self.assigned = assigned
        self.at: dict[TP, int] = {}
        self._subscription = SimpleNamespace(subscription=None)

    def seek(self, tp: TP, offset: int) -> None:
        if tp not in self.assigned:
            raise IllegalStateError(f"{tp} is not assigned")
        self.at[tp] = offset


@pytest.mark.parametrize("change", ["none", "the flow was stopped", "another generation"])
def test_what_is_taken_while_the_flow_is_stopped_is_put_back_at_once(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recovery has sought the changelog, and is about to wait for its end."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            taken = {CHANGELOG: [record(5), record(6)], EVENTS: [record(3)]}

            async def fetch(*_: Any, **__: Any) -> Mapping[Any, Any]:
                if change == "the flow was stopped":
                    consumer.stop_flow()
                elif change == "another generation":
                    consumer.app.consumer_generation_id += 1
                return taken

            monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
            position = Position({CHANGELOG})
            thread = cast("LeasedConsumerThread", consumer._thread)
            found = await thread._fetch_records(cast("Any", position), {CHANGELOG})
            assert (found, position.at) == ((taken, {}) if change == "none" else ({}, {CHANGELOG: 5}))

    asyncio.run(scenario())


def test_a_recovery_goes_on_however_long_kafka_takes() -> None:
    """Faust ended it for good after the timeout of a request, and the partitions stood still until a restart."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            recovery = cast("Any", consumer.app.tables).recovery
            answered = asyncio.Event()
            step = asyncio.create_task(recovery._wait(answered.wait(), timeout=0))
            await some_turns()
            assert not step.done()
            answered.set()
            await asyncio.wait_for(step, 60)

    asyncio.run(scenario())


def test_a_stop_that_meets_a_rebalance_leaves_the_group() -> None:
    """Faust closed the consumer from another loop, and it was never left: partitions stood still for a session."""
    steps: list[str] = []

    class Client:
        _closed = False

        async def stop(self) -> None:
            steps.append("left" if not self._closed else "closed already")

        def __getattr__(self, name: str) -> Any:  # what Faust closes: its coordinator and its connections
            async def close() -> None:
                steps.append(f"closed {name}")

            return SimpleNamespace(close=close)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            thread = cast("Any", consumer._thread)
            thread._consumer = Client()
            cast("Any", consumer.app)._on_rebalance_when_stopped()
            await some_turns()
            await thread.on_thread_stop()
            assert steps == ["left"]

    asyncio.run(scenario())

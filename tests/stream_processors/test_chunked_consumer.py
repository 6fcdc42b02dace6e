"""What stands between Faust's consumer and a wrong commit, each guard alone, without a broker."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.types import TP

from axonstream.kafka.topics import Topics
from axonstream.process.boot_clock import boot_clock
from axonstream.settings.settings import Settings
from axonstream.stream_processors.application import create_app
from axonstream.stream_processors.errors import BrokenInvariantError
from axonstream.stream_processors.faust_adapter import chunked_consumer
from axonstream.stream_processors.faust_adapter.chunk import Chunk
from axonstream.stream_processors.faust_adapter.chunked_consumer import ChunkedConsumer
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.faust_adapter.leased_thread import LeasedConsumerThread
from axonstream.stream_processors.settle_ledger import SettleLedger
from axonstream.stream_processors.start_position import Start

EVENTS = TP(Topics("unit-").events, 0)


@asynccontextmanager
async def a_consumer() -> AsyncGenerator[ChunkedConsumer]:
    """A consumer that was never started, with one assigned partition that is folded from 0."""
    app = create_app(Settings(topic_prefix="unit-"))
    app.rebalancing = False
    consumer = cast("ChunkedConsumer", app.consumer)
    consumer.is_chunked = lambda topic: topic == EVENTS.topic
    consumer._ledgers[EVENTS] = SettleLedger(0, 0)
    consumer._next_pause_at = float("inf")
    try:
        yield consumer
    finally:
        consumer._thread.thread_loop.close()


def an_output() -> Future[Any]:
    return asyncio.get_running_loop().create_future()


def a_chunk(consumer: ChunkedConsumer, generation: int) -> Chunk:
    return Chunk(consumer, EVENTS, (), start=0, end=0, generation=generation)


def test_what_faust_acknowledges_is_not_committed() -> None:
    """I5."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            consumer._acked[EVENTS] = list(range(10))
            consumer._ledgers[EVENTS].settle(10, [an_output()])
            assert consumer._new_offset(EVENTS) is None
            await consumer._add_gap(EVENTS, 0, 10)
            assert EVENTS not in consumer._gap

    asyncio.run(scenario())


def test_a_rebalance_waits_for_output_then_commits_then_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """I6."""
    steps: list[str] = []

    async def revoked(*_: Any) -> None:
        steps.append("revoked")

    monkeypatch.setattr(Consumer, "on_partitions_revoked", revoked)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            output = an_output()
            consumer._ledgers[EVENTS].settle(10, [output])

            async def commit(*_: Any) -> bool:
                steps.append(f"commit {consumer._new_offset(EVENTS)}")
                return True

            monkeypatch.setattr(consumer, "commit", commit)
            revoking = asyncio.create_task(consumer.on_partitions_revoked({EVENTS}))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not consumer.flow_active
            assert not steps
            output.set_result(None)
            await revoking
            assert not consumer._ledgers

    asyncio.run(scenario())
    assert steps == ["commit 10", "revoked"]


def test_fetching_waits_for_the_acknowledgement_of_a_full_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7."""
    monkeypatch.setattr(chunked_consumer, "MAX_BACKLOG", 1)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            outputs = [an_output(), an_output()]
            for end, output in enumerate(outputs, 1):
                consumer._ledgers[EVENTS].settle(end, [output])
            waiting = asyncio.create_task(consumer._wait_for_backlog())
            await asyncio.sleep(0)
            assert not waiting.done()
            outputs[0].set_result(None)
            await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())


def test_fetching_waits_for_a_commit_when_too_much_is_fetched_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7, and I14 counts on it: an earlier life folded nothing beyond the reach of its commit."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            ledger = consumer._ledgers[EVENTS]
            ledger.fetched(0, chunked_consumer.MAX_UNCOMMITTED)
            commits: list[None] = []

            async def commit(*_: Any) -> bool:
                commits.append(None)
                ledger.commit_accepted(1)
                return True

            monkeypatch.setattr(consumer, "commit", commit)
            await asyncio.wait_for(consumer._wait_for_backlog(), 60)
            assert len(commits) == 1

    asyncio.run(scenario())


def test_nothing_is_delivered_while_a_rebalance_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """I13."""

    async def fetch(*_: Any, **__: Any) -> Mapping[Any, Any]:
        raise AssertionError("a chunked topic was fetched")

    monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", fetch)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            consumer.app.rebalancing = True
            consumer._to_open[EVENTS] = Start(0)
            assert await consumer._getmany({EVENTS}, 1) == {}

    asyncio.run(scenario())


def test_a_fetch_that_ends_in_a_rebalance_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """I13. Faust may say that no rebalance goes on when a second one began before the first was over."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            ledgers, sought = dict(consumer._ledgers), list[tuple[TP, int]]()
            monkeypatch.setattr(consumer._thread, "seek", lambda *to: sought.append(to))
            for rebalancing, known in ((True, ledgers), (False, {})):

                async def fetch(*_: Any, now: bool = rebalancing, **__: Any) -> Mapping[Any, Any]:
                    consumer.app.rebalancing = now
                    return {EVENTS: [_record(3), _record(4)]}

                monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", fetch)
                consumer.app.rebalancing = False
                consumer._ledgers = dict(known)
                assert await consumer._getmany({EVENTS}, 1) == {}
            assert sought == [(EVENTS, 3), (EVENTS, 3)]

    asyncio.run(scenario())


def _record(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


def test_what_was_fetched_and_never_came_is_no_gap_of_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    """I3. A fetch that begins behind what came before it is made again from there."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            sought: list[tuple[TP, int]] = []
            monkeypatch.setattr(consumer._thread, "seek", lambda *to: sought.append(to))
            for records in ([], [_record(6)]):

                async def fetch(*_: Any, found: list[Any] = records, **__: Any) -> Mapping[Any, Any]:
                    cast("LeasedConsumerThread", consumer._thread).moves = {EVENTS: (5, 7)}
                    return {EVENTS: found} if found else {}

                monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", fetch)
                assert await consumer._getmany({EVENTS}, 1) == {}
            assert sought == [(EVENTS, 0), (EVENTS, 0)]

    asyncio.run(scenario())


@pytest.mark.parametrize("when", ["before its turn", "while it is compared with the log"])
def test_what_a_whole_rebalance_has_overtaken_is_dropped(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I13. It is of the generation that fetched it; the next one has sought where it begins."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            sought: list[tuple[TP, int]] = []
            monkeypatch.setattr(consumer._thread, "seek", lambda *to: sought.append(to))
            other = TP(EVENTS.topic, 1)
            taken = {EVENTS: [_record(0)], other: [_record(0)]} if when == "before its turn" else {EVENTS: [_record(0)]}

            async def fetch(*_: Any, **__: Any) -> Mapping[Any, Any]:
                return dict(taken)

            async def rebalanced(*_: Any) -> None:
                consumer.app.consumer_generation_id += 1
                consumer._ledgers = {tp: SettleLedger(0, 0) for tp in (EVENTS, other)}

            monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", fetch)
            monkeypatch.setattr(consumer._continuity, "must_follow", rebalanced)
            cast("Any", consumer._thread).watch = None
            assert await consumer._next_to_deliver({EVENTS, other}, 1) == {}
            assert sought == []
            assert consumer._ledgers[other].fetched_to == 0

    asyncio.run(scenario())


def test_a_chunk_from_before_a_rebalance_is_not_folded() -> None:
    """I13."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            generation = consumer.app.consumer_generation_id
            a_chunk(consumer, generation).records()
            with pytest.raises(BrokenInvariantError, match="before a rebalance"):
                a_chunk(consumer, generation - 1).records()
            consumer.stop_flow()
            with pytest.raises(BrokenInvariantError, match="before a rebalance"):
                a_chunk(consumer, generation).records()

    asyncio.run(scenario())


def test_a_chunk_is_settled_once() -> None:
    """I11."""

    async def scenario() -> None:
        async with a_consumer() as consumer:
            chunk = a_chunk(consumer, consumer.app.consumer_generation_id)
            chunk.settle([])
            with pytest.raises(BrokenInvariantError, match="twice"):
                chunk.settle([])

    asyncio.run(scenario())


@pytest.mark.parametrize("accepted", [True, False])
def test_only_a_commit_that_the_broker_accepted_makes_a_trace_final(
    accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I14. Faust takes a refused commit for done."""

    async def commit(*_: Any) -> bool:
        return accepted

    monkeypatch.setattr(ThreadDelegateConsumer, "_commit", commit)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            await consumer._commit({EVENTS: 10})
            assert consumer.final_below(EVENTS.topic, 0) == (10 if accepted else 0)
            consumer.app.rebalancing = True
            assert consumer.final_below(EVENTS.topic, 0) == 0

    asyncio.run(scenario())


def test_a_commit_of_before_a_rebalance_says_nothing_of_what_came_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """I14."""

    async def scenario() -> None:
        async with a_consumer() as consumer:

            async def commit(*_: Any) -> bool:
                consumer._ledgers[EVENTS] = SettleLedger(0, 0)
                return True

            monkeypatch.setattr(ThreadDelegateConsumer, "_commit", commit)
            await consumer._commit({EVENTS: 10})
            assert consumer.final_below(EVENTS.topic, 0) == 0

    asyncio.run(scenario())


def test_nothing_is_produced_without_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """I8."""
    sent: list[Any] = []

    async def send(_self: Any, _node: int, request: Any, **_: Any) -> None:
        sent.append(request)

    async def ready(*_: Any, **__: Any) -> bool:
        return True

    monkeypatch.setattr(AIOKafkaClient, "send", send)
    monkeypatch.setattr(AIOKafkaClient, "ready", ready)

    async def scenario() -> None:
        async with a_consumer() as consumer:
            producer = cast("ChunkedProducer", consumer.app.producer)._new_producer()
            request = object.__new__(ProduceRequest)
            sending = asyncio.create_task(cast("Any", producer.client.send(0, request)))
            for _ in range(100):
                await asyncio.sleep(0)  # turns of the loop, in which it could have sent
            assert not sent
            consumer.lease.renew(boot_clock())
            await asyncio.wait_for(sending, 60)
            assert sent == [request]
            producer._closed = True  # it was never started; aiokafka would warn

    asyncio.run(scenario())

"""One leader that does not answer where its partitions end costs the partitions of the others nothing."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    for_code,
)

from axonstream.gateway.reading import leader_questions
from axonstream.gateway.reading.leader_questions import PATIENCE_S, LeaderQuestions
from axonstream.kafka.leader_watch import Leader, LogEnd
from kit.scripted_leaders import NOT_NOW
from kit.until import until

PARTITIONS = [TopicPartition("agent-events", number) for number in range(3)]
TIMEOUT_S = 20.0


class ScriptedBrokers:
    """Broker p leads partition p, unless the test says that nobody does; `held` ones answer when the test lets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.led = {tp: tp.partition for tp in PARTITIONS}
        self.held: dict[int, asyncio.Event] = {}
        self.away: set[int] = set()
        self.errors: dict[TopicPartition, KafkaError] = {}
        self.asked: list[int] = []
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: self.led.get(tp, -1))
        monkeypatch.setattr(leader_questions, "ask_leader", self.ask)

    async def ask(self, _: Any, node: int, partitions: list[TopicPartition]) -> dict[TopicPartition, Any]:
        self.asked.append(node)
        if node in self.away:
            raise NodeNotReadyError
        if node in self.held:
            await self.held[node].wait()
        return {tp: self.errors.get(tp, LogEnd(10 * tp.partition, Leader(1, node))) for tp in partitions}

    async def _wait_on_metadata(self, _: str) -> None: ...

    async def _update(self) -> None: ...

    def force_metadata_update(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._update())


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> ScriptedBrokers:
    return ScriptedBrokers(monkeypatch)


async def told(questions: LeaderQuestions) -> set[int]:
    return {tp.partition for tp in await questions.ends(PARTITIONS)}


def test_a_partition_that_nobody_leads_costs_the_others_nothing(brokers: ScriptedBrokers) -> None:
    async def scenario() -> None:
        questions = LeaderQuestions(brokers, TIMEOUT_S)
        assert await told(questions) == {0, 1, 2}
        del brokers.led[PARTITIONS[1]]
        brokers.away.add(2)
        brokers.errors[PARTITIONS[0]] = NotLeaderForPartitionError()
        brokers.led[PARTITIONS[0]] = brokers.led[PARTITIONS[2]] = 3
        began = monotonic()
        assert await told(questions) == {2}
        assert monotonic() - began < PATIENCE_S
        await questions.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("code", NOT_NOW)
def test_a_leader_that_cannot_say_yet_costs_the_others_nothing(brokers: ScriptedBrokers, code: int) -> None:
    async def scenario() -> None:
        brokers.errors[PARTITIONS[1]] = cast("type[KafkaError]", for_code(code))()
        questions = LeaderQuestions(brokers, TIMEOUT_S)
        assert await told(questions) == {0, 2}
        del brokers.errors[PARTITIONS[1]]
        assert await told(questions) == {0, 1, 2}
        await questions.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_leader_that_hangs_is_waited_for_once(brokers: ScriptedBrokers) -> None:
    async def scenario() -> None:
        questions = LeaderQuestions(brokers, TIMEOUT_S)
        brokers.held[1] = asyncio.Event()
        first = await questions.ends(PARTITIONS)
        assert {tp.partition for tp in first} == {0, 2}
        began = monotonic()
        for _ in range(10):
            assert await told(questions) == {0, 2}
        assert monotonic() - began < 2 * PATIENCE_S
        assert brokers.asked.count(1) == 1, "it has one question under way"
        brokers.held[1].set()

        async def is_told() -> bool:
            return await told(questions) == {0, 1, 2}

        await until(is_told, "its answer, though late", TIMEOUT_S)
        await questions.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_late_answer_says_when_it_was_asked_for(brokers: ScriptedBrokers) -> None:
    """A read that began later needs another one."""

    async def scenario() -> None:
        questions = LeaderQuestions(brokers, TIMEOUT_S)
        brokers.held[1] = asyncio.Event()
        await questions.ends(PARTITIONS)
        between = monotonic()
        brokers.held.pop(1).set()
        await asyncio.sleep(0)
        ends = await questions.ends(PARTITIONS)
        assert ends[PARTITIONS[0]].asked_at > between
        late, then = ends[PARTITIONS[1]].asked_at, (await questions.ends(PARTITIONS))[PARTITIONS[1]].asked_at
        assert then > between
        assert then >= late
        await questions.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_when_no_leader_answers_in_time_that_is_an_error(brokers: ScriptedBrokers) -> None:
    async def scenario() -> None:
        brokers.held = {node: asyncio.Event() for node in range(3)}
        questions = LeaderQuestions(brokers, PATIENCE_S + 0.2)
        with pytest.raises(KafkaError, match="no leader says in time"):
            await questions.ends(PARTITIONS)
        await questions.close()
        brokers.led.clear()
        with pytest.raises(KafkaError, match="no leader says in time"):
            await LeaderQuestions(brokers, 0.2).ends(PARTITIONS)

    asyncio.run(scenario())


def test_what_asking_again_does_not_help_is_an_error(brokers: ScriptedBrokers) -> None:
    async def scenario() -> None:
        brokers.errors[PARTITIONS[1]] = TopicAuthorizationFailedError()
        with pytest.raises(TopicAuthorizationFailedError):
            await LeaderQuestions(brokers, TIMEOUT_S).ends(PARTITIONS)

    asyncio.run(scenario())

"""Where the logs end: what one partition cannot say is no error, and costs the others nothing."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import RequestTimedOutError, TopicAuthorizationFailedError

from axonstream.kafka.leader_watch import log_ends, told_ends
from kit.scripted_leaders import NOT_NOW, ScriptedLeaders

PARTITIONS = [TopicPartition("agent-events", number) for number in range(3)]
ENDS = {tp: 10 + tp.partition for tp in PARTITIONS}
NOT_ALLOWED = 29
PATIENCE_S = 60.0


async def all_told(leaders: ScriptedLeaders, timeout_s: float = PATIENCE_S) -> dict[int, int]:
    return {tp.partition: end.end for tp, end in (await log_ends(leaders.consumer, PARTITIONS, timeout_s)).items()}


async def told(leaders: ScriptedLeaders, timeout_s: float = PATIENCE_S) -> dict[int, int]:
    return {tp.partition: end.end for tp, end in (await told_ends(leaders.consumer, PARTITIONS, timeout_s)).items()}


@pytest.mark.parametrize("code", NOT_NOW)
def test_a_leader_that_was_just_elected_is_asked_again(code: int) -> None:
    leaders = ScriptedLeaders(ENDS)
    leaders.codes[PARTITIONS[1]] = [code, code]
    assert asyncio.run(all_told(leaders)) == {0: 10, 1: 11, 2: 12}


def test_what_is_not_told_in_time_of_all_is_an_error_that_names_the_others() -> None:
    leaders = ScriptedLeaders(ENDS)
    del leaders.led[PARTITIONS[1]]
    with pytest.raises(RequestTimedOutError, match=r"agent-events 1$"):
        asyncio.run(all_told(leaders, 0.2))


def test_a_partition_that_does_not_say_it_holds_up_no_other() -> None:
    leaders = ScriptedLeaders(ENDS)
    assert asyncio.run(told(leaders)) == {0: 10, 1: 11, 2: 12}
    leaders.codes[PARTITIONS[0]] = [NOT_NOW[-1]]
    del leaders.led[PARTITIONS[1]]
    assert asyncio.run(told(leaders)) == {2: 12}
    leaders.away.add(2)
    assert asyncio.run(told(leaders)) == {0: 10}
    leaders.hanging.add(0)
    leaders.away.clear()
    assert asyncio.run(told(leaders, 0.2)) == {2: 12}


def test_who_may_not_ask_is_told() -> None:
    for ask in (all_told, told):
        leaders = ScriptedLeaders(ENDS)
        leaders.codes[PARTITIONS[1]] = [NOT_ALLOWED]
        with pytest.raises(TopicAuthorizationFailedError):
            asyncio.run(ask(leaders))

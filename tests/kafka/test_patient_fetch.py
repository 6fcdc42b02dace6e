"""A fetch is held longer when all is quiet, and never when something could wait for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from faust.types import TP

from axonstream.kafka.patient_fetch import PATIENT_MS, QUIET_S, fetch_patiently

BUSY_MS = 100
BOTH = [("agent-events", [(0, 5, 1), (1, 7, 1)])]
ONE = [("agent-events", [(1, 7, 1)])]


class Broker:
    """Answers fetches; `wait_ms` is what the next one will ask for."""

    def __init__(self, paused: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.now = 0.0
        self._found = False

        async def answered(assignment: Any, node_id: int, request: Any) -> bool:
            return self._found

        self._fetcher: Any = SimpleNamespace(_proc_fetch_request=answered, _fetch_max_wait_ms=BUSY_MS)
        consumer: Any = SimpleNamespace(_fetcher=self._fetcher)
        fetch_patiently(consumer, lambda: self.now, lambda: paused)

    def answer(self, *, after_s: float, found: bool = False, asked: Any = BOTH) -> int:
        self.now += after_s
        self._found = found
        assignment = SimpleNamespace(tps={TopicPartition("agent-events", 0), TopicPartition("agent-events", 1)})
        request = SimpleNamespace(topics=asked)
        assert asyncio.run(self._fetcher._proc_fetch_request(assignment, 0, request)) == found
        return self._fetcher._fetch_max_wait_ms


def test_after_a_quiet_time_a_broker_may_hold_a_fetch_longer() -> None:
    broker = Broker()
    assert broker.answer(after_s=QUIET_S / 2) == BUSY_MS
    assert broker.answer(after_s=QUIET_S / 2) == PATIENT_MS


def test_the_fetch_after_a_record_is_a_quick_one() -> None:
    """What comes next on the same partition waits for it."""
    broker = Broker()
    assert broker.answer(after_s=QUIET_S) == PATIENT_MS
    assert broker.answer(after_s=0.1, found=True) == BUSY_MS
    assert broker.answer(after_s=QUIET_S / 2) == BUSY_MS
    assert broker.answer(after_s=QUIET_S / 2) == PATIENT_MS


def test_a_fetch_that_asks_for_a_part_of_the_partitions_is_no_quiet_time() -> None:
    broker = Broker()
    assert broker.answer(after_s=QUIET_S, asked=ONE) == BUSY_MS
    assert broker.answer(after_s=QUIET_S / 2) == BUSY_MS
    assert broker.answer(after_s=QUIET_S / 2) == PATIENT_MS


def test_a_partition_that_is_paused_takes_no_patience() -> None:
    """A processor's changelog is paused once it is read: it asked ten times a second for ever. When partitions have
    just been paused or resumed, something is going on.
    """
    broker = Broker(paused=frozenset({TP("agent-events", 0)}))
    assert broker.answer(after_s=QUIET_S, asked=ONE) == BUSY_MS
    assert broker.answer(after_s=QUIET_S, asked=ONE) == PATIENT_MS

"""Where the partitions end, asked of each leader by itself: one that does not answer holds up its own partitions alone.

A partition may have no leader, or one that hangs. Nothing is waited for where there is no leader. A leader that has
not answered within PATIENCE_S is waited for no longer, in this round and in the next ones; its late answer is taken
by the round that finds it, and then it is waited for again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, RequestTimedOutError

from axonstream.kafka.leader_watch import Leader, LogEnd, ask_leader, is_final

PATIENCE_S = 0.5
_AGAIN_S = 0.05


class ToldEnd(NamedTuple):
    """The offset of the next record, by the word of a leader that was asked after `asked_at` (of `monotonic`)."""

    end: int
    leader: Leader
    asked_at: float


Told = dict[TopicPartition, ToldEnd]


class LeaderQuestions:
    """Through one client of aiokafka. A broker has one question under way."""

    def __init__(self, client: Any, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._asking: dict[int, asyncio.Task[Told | None]] = {}
        self._silent: set[int] = set()  # brokers that are not waited for

    async def ends(self, partitions: Sequence[TopicPartition]) -> Told:
        """Of the partitions whose leaders answer, of one at least. Raises KafkaError when none does in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                for topic in {tp.topic for tp in partitions}:
                    await self._client._wait_on_metadata(topic)
                while True:
                    told = await self._round(partitions)
                    if len(told) == len(partitions):
                        return told
                    update = self._client.force_metadata_update()  # there may be a leader now
                    if told:
                        return told
                    await update
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError as error:
            raise RequestTimedOutError("no leader says in time where its log ends") from error

    async def close(self) -> None:
        """Ask nothing more."""
        asking = list(self._asking.values())
        self._asking.clear()
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking)

    async def _round(self, partitions: Sequence[TopicPartition]) -> Told:
        told: Told = {}
        questions: dict[int, asyncio.Task[Told | None]] = {}
        for node, led in self._led(partitions).items():
            self._take(node, self._asking.get(node), told)
            if node not in self._asking:
                self._asking[node] = asyncio.create_task(self._ask(node, led))
            questions[node] = self._asking[node]
        if hopeful := [question for node, question in questions.items() if node not in self._silent]:
            await asyncio.wait(hopeful, timeout=PATIENCE_S)
        while True:
            for node, question in questions.items():
                self._take(node, question, told)
            waiting = [question for question in questions.values() if not question.done()]
            if told or not waiting:
                break
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        self._silent.update(node for node, question in questions.items() if not question.done())
        return told

    def _led(self, partitions: Sequence[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """By broker; without those that nobody leads."""
        by_node: defaultdict[int, list[TopicPartition]] = defaultdict(list)
        for tp in partitions:
            node = self._client.cluster.leader_for_partition(tp)
            if node is not None and node != -1:
                by_node[node].append(tp)
        return by_node

    def _take(self, node: int, question: asyncio.Task[Told | None] | None, told: Told) -> None:
        """What was answered, if it was."""
        if question is None or not question.done():
            return
        if self._asking.get(node) is question:
            del self._asking[node]
        answer = None if question.cancelled() else question.result()
        if answer is None:
            self._silent.add(node)
        else:
            self._silent.discard(node)
            told.update(answer)

    async def _ask(self, node: int, partitions: Sequence[TopicPartition]) -> Told | None:
        """None when the broker does not answer. Raises the error of a partition that asking again does not help."""
        asked_at = monotonic()
        try:
            answer = await ask_leader(self._client, node, partitions)
        except (KafkaError, OSError, TimeoutError):
            return None
        told: Told = {}
        for tp, end in answer.items():
            if isinstance(end, LogEnd):
                told[tp] = ToldEnd(end.end, end.leader, asked_at)
            elif is_final(end):
                raise end
        return told

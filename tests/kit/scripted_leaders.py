"""Leaders that say where their logs end, as a test scripts it, behind the client of a consumer that has no Kafka."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import NodeNotReadyError

# REPLICA_NOT_AVAILABLE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE: an election has just been.
NOT_NOW = (9, 74, 75, 78)


class ScriptedLeaders:
    """Broker p leads partition p, unless the test says that nobody does. `codes` are answered as often as they say."""

    def __init__(self, ends: dict[TopicPartition, int]) -> None:
        self.ends = ends
        self.led = {tp: tp.partition for tp in ends}
        self.codes: dict[TopicPartition, list[int]] = {}
        self.away: set[int] = set()
        self.hanging: set[int] = set()
        self.epoch = 5
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: self.led.get(tp, -1))
        self._conns = {(node, ConnectionGroup.DEFAULT): object() for node in self.led.values()}

    @property
    def consumer(self) -> AIOKafkaConsumer:
        return cast("AIOKafkaConsumer", SimpleNamespace(_client=self))

    async def send(self, node: int, request: Any) -> Any:
        if node in self.away:
            raise NodeNotReadyError
        if node in self.hanging:
            await asyncio.Event().wait()
        answer: dict[str, list[tuple[int, int, int, int, int]]] = {}
        for topic, partitions in request._topics.items():
            for partition, *_ in partitions:
                tp = TopicPartition(topic, partition)
                codes = self.codes.get(tp)
                code = codes.pop(0) if codes else 0
                answer.setdefault(topic, []).append((partition, code, -1, self.ends[tp], self.epoch))
        return SimpleNamespace(topics=list(answer.items()))

    async def _wait_on_metadata(self, _: str) -> None: ...

    async def _update(self) -> None: ...

    def force_metadata_update(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._update())

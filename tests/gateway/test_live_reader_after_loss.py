"""A gateway that was cut off from Kafka reads on: what its streams are told does not run ahead of what it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Place, Position, read_position
from axonstream.gateway.live.reader import LiveReader
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.record_identity import Marks, RecordMark, Standing, mark_of, short_digest
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.positions import log_guard
from kit.sample_events import NOW_MS, Record, event_value
from kit.scripted_leaders import ScriptedLeaders
from kit.until import until

MARK = b"\x07" * 6
HOUR_AGO = NOW_MS - 3_600_000
PATIENCE_S = 60.0
TOPIC = Topics("").events
PARTITIONS = [TopicPartition(TOPIC, number) for number in (0, 1)]


def record(partition: int, offset: int, at_ms: int) -> Record:
    return Record(TOPIC, partition, offset, event_key("tr_a"), event_value("tr_a", offset), at_ms)


class ScriptedLog:
    """What there is of the first partition comes at once; of the second nothing comes."""

    def __init__(self, leaders: ScriptedLeaders) -> None:
        self._client = leaders
        self.left = [record(0, 1, NOW_MS)]

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Record]]:
        await asyncio.sleep(0)
        records, self.left = self.left, []
        return {PARTITIONS[0]: records} if records else {}

    async def position(self, partition: TopicPartition) -> int:
        return 2 - partition.partition

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._client.ends[tp] for tp in partitions}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0, 1}


async def all_stand(_: Settings, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
    return {(tp, mark): Standing.SAME for tp, some in marks.items() for mark in some}


def test_no_newer_time_is_told_until_every_leader_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other partition may have lost its end an hour ago: who hears of it goes on at what came since this time."""
    monkeypatch.setattr(log_guard, "standings", all_stand)
    monkeypatch.setattr(log_guard, "LOOK_S", 0.01)

    async def scenario() -> None:
        leaders = ScriptedLeaders({PARTITIONS[0]: 2, PARTITIONS[1]: 1})
        node = leaders.led.pop(PARTITIONS[1])
        consumer = cast("AIOKafkaConsumer", ScriptedLog(leaders))
        reader = LiveReader(Settings(), lambda _: None, lambda *_: None)
        had = [cast("Any", record(partition, 0, HOUR_AGO)) for partition in (0, 1)]
        reader._read = ReadSoFar(MARK, [Place(1, 1, short_digest(each)) for each in had], HOUR_AGO)
        reader._marks = {tp: mark_of(each, 5) for tp, each in zip(PARTITIONS, had, strict=True)}
        cursor = reader.open(LiveFilter("1"), ApiVersion.V0, resumes=False)

        def told() -> Position:
            return read_position(reader.delivery.sealed.content("1", reader.position(cursor.feed).decode()), MARK)

        following = asyncio.create_task(reader._follow(consumer, LeaderWatch(consumer)))
        await until(lambda: told().places[0].offset == 2, "the record is read", PATIENCE_S)
        [frame] = cursor.feed.at(0).frames.values()
        assert read_position(reader.delivery.sealed.content("1", frame.position.decode()), MARK).newest_ms == HOUR_AGO
        assert told().newest_ms == HOUR_AGO
        leaders.led[PARTITIONS[1]] = node
        await until(lambda: told().newest_ms == NOW_MS, "all is known", PATIENCE_S)
        following.cancel()
        await asyncio.wait([following])

    asyncio.run(scenario())

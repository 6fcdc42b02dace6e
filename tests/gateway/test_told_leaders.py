"""A leader that does not answer for a while takes back nothing of what was found out about its partition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from axonstream.gateway.reading import pipeline_offsets
from axonstream.gateway.reading.leader_questions import ToldEnd
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets
from axonstream.kafka.leader_watch import Leader
from axonstream.kafka.record_identity import CommitNote, RecordMark, Standing
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

TOPICS = Topics("")
EVENTS = [TopicPartition(TOPICS.events, p) for p in range(2)]
MARKS = [RecordMark(999, "digest", 1), RecordMark(999, "other", 1)]


def test_a_partition_that_lost_its_end_stays_unreadable_while_its_leader_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reads of it counted as fresh in the round after: what had been looked at was only what was told in that round."""
    silent: set[TopicPartition] = set()

    async def ends(asked: list[TopicPartition]) -> dict[TopicPartition, ToldEnd]:
        return {tp: ToldEnd(900, Leader(2, "connection"), 0.0) for tp in asked if tp not in silent}

    async def committed(*_: Any) -> dict[TopicPartition, OffsetAndMetadata]:
        found: dict[TopicPartition, OffsetAndMetadata] = {}
        for tp, mark in zip(EVENTS, MARKS, strict=True):
            found[tp] = OffsetAndMetadata(1000, CommitNote(last=mark).encode())
            summaries = TopicPartition(TOPICS.summaries, tp.partition)
            found[summaries] = OffsetAndMetadata(5, CommitNote(folded=1000).encode())
        return found

    async def compare(_: Settings, marks: Mapping[TopicPartition, list[RecordMark]]) -> dict[Any, Standing]:
        found = {tp: Standing.OTHER if tp == EVENTS[0] else Standing.SAME for tp in marks}
        return {(tp, mark): found[tp] for tp, some in marks.items() for mark in some}

    async def connected(_: PipelineOffsets) -> tuple[Any, Any]:
        return SimpleNamespace(partitions_for_topic=lambda _: {0, 1}), None

    monkeypatch.setattr(pipeline_offsets, "standings", compare)
    monkeypatch.setattr(pipeline_offsets, "group_offsets", committed)
    monkeypatch.setattr(PipelineOffsets, "_connected", connected)

    async def story() -> None:
        offsets = PipelineOffsets(Settings(topic_partitions=2))
        offsets._questions = SimpleNamespace(ends=ends)  # pyright: ignore[reportAttributeAccessIssue]
        await offsets.told_ends()
        assert await offsets.visible() == {0: 0, 1: 1000}
        silent.add(EVENTS[0])
        assert set(await offsets.told_ends()) == {1}
        assert await offsets.visible() == {0: 0, 1: 1000}

    asyncio.run(story())

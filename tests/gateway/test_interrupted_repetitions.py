"""Deletions are done again when Kafka has lost their markers. They keep their order, wherever that is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import pytest

from axonstream.contract.deletion import Deletion, Late
from axonstream.gateway.control.audit_entry import Actor
from axonstream.gateway.control.records import ControlRecord
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.http.errors import UnavailableError
from axonstream.settings.settings import Settings
from kit.memory_control import MemoryControl
from kit.offline_gateway import MemoryMarkers

LATER_MS = 60_000


@dataclass
class CutControl(MemoryControl):
    """Once `left` is a number, only so many records of what is noted come to be."""

    left: int | None = None

    async def note(self, records: Sequence[ControlRecord]) -> None:
        if self.left is None:
            return await super().note(records)
        await super().note(records[: self.left])
        self.left = 0
        raise UnavailableError("Kafka did not acknowledge", "Try again.")


@dataclass
class SlowMarkers(MemoryMarkers):
    """While one gateway looks, another one has looked and repeated."""

    other: Deletions | None = None

    async def lost(self, deletions: Sequence[Deletion]) -> set[int]:
        found = await super().lost(deletions)
        if self.other is not None:
            await self.other.repeat_lost()
        return found


class Story:
    """Late events of tr_1 were refused first, and are stored since. Kafka loses the marker of the first deletion."""

    def __init__(self) -> None:
        self.control = CutControl()
        self.markers = MemoryMarkers()
        self.clock = count(1_000)
        self.deletions = self.gateway(self.markers)
        self.first = self.delete(["tr_1", "tr_2"], Late.REFUSED)

    def gateway(self, markers: MemoryMarkers, later_ms: int = 0) -> Deletions:
        return Deletions(Settings(), self.control, markers, lambda: next(self.clock) + later_ms)

    def delete(self, traces: list[str], late: Late) -> Deletion:
        [made] = asyncio.run(self.deletions.delete("1", traces, late, Actor("", ""), "t", {}))
        return made

    def lose_the_first(self) -> None:
        self.markers.gone = {self.first.id}

    def must_be_as_before(self) -> None:
        assert self.control.data.deleted.refuses("1", "tr_2")
        assert not self.control.data.deleted.refuses("1", "tr_1"), "the later deletion lets its events in"

    def finish(self) -> None:
        """What any gateway does: it completes what was abandoned, and looks again."""
        self.control.left = None
        markers = MemoryMarkers(gone=self.markers.gone)
        deletions = self.gateway(markers, LATER_MS)
        for _ in range(2):
            asyncio.run(deletions.look())
            asyncio.run(deletions.repeat_lost())
        self.must_be_as_before()
        known = self.control.data.deleted.of_tenant("1")
        assert all(one.bounds for one in known)
        assert self.first.id not in {one.id for one in known}
        assert set(self.control.data.tenant("1").deletions) == {one.id for one in known}


def test_a_repetition_whose_markers_kafka_does_not_take_leaves_the_order() -> None:
    story = Story()
    story.delete(["tr_1"], Late.STORED)
    story.lose_the_first()
    story.markers.acknowledges = False
    with pytest.raises(UnavailableError):
        asyncio.run(story.deletions.repeat_lost())
    story.must_be_as_before()
    story.finish()


@pytest.mark.parametrize("left", [0, 1])
def test_a_repetition_of_which_some_records_come_to_be_leaves_the_order(left: int) -> None:
    story = Story()
    story.delete(["tr_1"], Late.STORED)
    story.lose_the_first()
    story.control.left = left
    with pytest.raises(UnavailableError):
        asyncio.run(story.deletions.repeat_lost())
    story.must_be_as_before()
    story.finish()


def test_a_deletion_that_waits_for_its_markers_is_still_the_newest_after_a_repetition() -> None:
    story = Story()
    story.markers.acknowledges = False
    with pytest.raises(UnavailableError):
        story.delete(["tr_1"], Late.STORED)
    story.markers.acknowledges = True
    story.lose_the_first()
    asyncio.run(story.deletions.repeat_lost())
    story.must_be_as_before()
    story.finish()


def test_a_deletion_that_is_made_after_a_repetition_is_the_newest() -> None:
    """The repeated ones have times of the future when they are many in one millisecond."""
    story = Story()
    story.deletions = Deletions(Settings(), story.control, story.markers, lambda: 1_000)
    story.delete(["tr_1"], Late.STORED)
    story.lose_the_first()
    asyncio.run(story.deletions.repeat_lost())
    story.delete(["tr_1", "tr_3"], Late.REFUSED)
    assert story.control.data.deleted.refuses("1", "tr_1")


def test_what_another_gateway_has_repeated_meanwhile_is_not_repeated_once_more() -> None:
    story = Story()
    story.delete(["tr_1"], Late.STORED)
    story.lose_the_first()
    slow = SlowMarkers(gone=story.markers.gone, other=story.deletions)
    asyncio.run(story.gateway(slow).repeat_lost())
    assert not slow.appended
    story.must_be_as_before()
    assert len(story.control.data.deleted.of_tenant("1")) == 2


def test_without_the_newest_of_the_control_topic_nothing_is_repeated() -> None:
    story = Story()
    story.lose_the_first()
    story.control.acknowledges = False
    with pytest.raises(UnavailableError, match="control topic"):
        asyncio.run(story.deletions.repeat_lost())
    story.control.acknowledges = True
    story.delete(["tr_1"], Late.STORED)
    story.finish()

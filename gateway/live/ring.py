"""What live streams have still to be sent, in one ring of bounded bytes, so that a slow reader costs nobody anything.

Events stand in the ring in the order in which the gateway read them. A feed lists those that match one filter, and is
shared by the streams of that filter; each stream has a cursor into it. What leaves the ring leaves every feed, and the
cursors that had not come to it find out when they look. Plain state: no I/O, no clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.position import Kind

NO_REPEAT = -1
GAP = -2  # it is no event: it says that events are missing
DELETED = -3  # nor is this: it says that the trace was deleted, and is the last of its stream
_ENTRY_BYTES = 600  # of the objects around one event's frames
_LISTED_BYTES = 8
_COMPACT_AFTER = 256


class Frame(NamedTuple):
    """An event as it goes over the wire, and the position after it."""

    position: bytes
    wire: bytes


class Form(NamedTuple):
    """All that makes the frames of one event differ from stream to stream."""

    kind: Kind
    generation: ApiVersion


class Entry:
    """One event in the ring. `repeat_of` is the number of the entry that had the event before, or NO_REPEAT, or what
    else than an event it is.
    """

    __slots__ = ("feeds", "frames", "number", "repeat_of", "size", "trace_id")

    def __init__(
        self, number: int, repeat_of: int, frames: dict[Form, Frame], feeds: list[Feed], trace_id: str
    ) -> None:
        self.number = number
        self.repeat_of = repeat_of
        self.frames = frames
        self.feeds = feeds
        self.trace_id = trace_id
        self.size = self._counted()

    def blank(self) -> int:
        """Let go of the event, and keep its place; how many bytes that frees."""
        before = self.size
        self.frames = {form: Frame(frame.position, b"") for form, frame in self.frames.items()}
        self.size = self._counted()
        return before - self.size

    def _counted(self) -> int:
        return (
            _ENTRY_BYTES
            + _LISTED_BYTES * len(self.feeds)
            + sum(len(frame.wire) + len(frame.position) for frame in self.frames.values())
        )


class Feed:
    """The entries that match one filter, in order; places in it count from 0 and never change."""

    def __init__(self, wanted: LiveFilter, generation: ApiVersion) -> None:
        self.wanted = wanted
        self.form = Form(wanted.kind, generation)
        self.streams = 0
        self.changed = asyncio.Event()
        self._entries: list[Entry | None] = []
        self._gone = 0  # of `_entries`, that have left the ring
        self._compacted = 0

    @property
    def start(self) -> int:
        """The place of the oldest entry that is still there."""
        return self._compacted + self._gone

    @property
    def end(self) -> int:
        """The place that the next entry will have."""
        return self._compacted + len(self._entries)

    def append(self, entry: Entry) -> None:
        """The newest entry; `announce` tells the streams."""
        self._entries.append(entry)

    def announce(self) -> None:
        """Wake every stream that waits."""
        self.changed.set()
        self.changed = asyncio.Event()

    def drop_oldest(self) -> None:
        """The oldest entry has left the ring."""
        self._entries[self._gone] = None
        self._gone += 1
        if self._gone > _COMPACT_AFTER and 2 * self._gone > len(self._entries):
            del self._entries[: self._gone]
            self._compacted += self._gone
            self._gone = 0

    def at(self, place: int) -> Entry:
        """The entry at `place`, which must be there."""
        entry = self._entries[place - self._compacted]
        if entry is None:
            raise IndexError(f"the entry at {place} has left the ring")
        return entry


class Ring:
    """The entries of all feeds, at most `most_bytes` of them (the newest is kept whatever its size).

    When there is no room, the oldest entry of the tenant with the most bytes leaves: a loud tenant makes gaps for its
    own slow readers. One tenant alone may use all; a tenant that uses less than an equal share loses nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._shares: dict[str, _Share] = {}
        self._loudest = _Share()
        self.size = 0
        self.number = 1  # of the next entry; 0 stands for all that was before

    def append(self, repeat_of: int, frames: dict[Form, Frame], feeds: list[Feed], trace_id: str = "") -> None:
        """The newest entry, of feeds of one tenant; the oldest of the loudest tenant leave when there is no room."""
        entry = Entry(self.number, repeat_of, frames, feeds, trace_id)
        self.number += 1
        tenant_id = feeds[0].wanted.tenant_id
        share = self._shares.get(tenant_id)
        if share is None:
            share = self._shares[tenant_id] = _Share()
        share.entries.append(entry)
        share.size += entry.size
        self.size += entry.size
        for feed in feeds:
            feed.append(entry)
        while self.size > self._most and (loudest := self._with_the_most(share)) is not None:
            self.size -= loudest.drop_oldest()

    def forget(self, tenant_id: str) -> None:
        """No stream of the tenant is open: let go of what it has."""
        share = self._shares.pop(tenant_id, None)
        while share is not None and share.entries:
            self.size -= share.drop_oldest()

    def blank(self, tenant_id: str, trace_ids: Collection[str]) -> None:
        """Let go of the events of these traces, of all when there are none: their places stay, and show nothing."""
        share = self._shares.get(tenant_id)
        for entry in () if share is None else share.entries:
            if entry.trace_id and (not trace_ids or entry.trace_id in trace_ids):
                freed = entry.blank()
                share.size -= freed  # pyright: ignore[reportOptionalMemberAccess]  it has entries
                self.size -= freed

    def clear(self) -> None:
        """Let go of everything; the feeds find it gone."""
        for tenant_id in list(self._shares):
            self.forget(tenant_id)

    def _with_the_most(self, newest: _Share) -> _Share | None:
        """Who has more than an equal share loses until it has not: then it is looked for who has the most now."""
        if self._loudest.size * len(self._shares) <= self.size or not self._loudest.may_lose(newest):
            candidates = [share for share in self._shares.values() if share.may_lose(newest)]
            if not candidates:
                return None
            self._loudest = max(candidates, key=_size_of)
        return self._loudest


class _Share:
    """What one tenant has in the ring, in order."""

    __slots__ = ("entries", "size")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.size = 0

    def may_lose(self, newest: _Share) -> bool:
        """Whether it has an entry beside the newest of all, which is in the share `newest`."""
        return len(self.entries) > (self is newest)

    def drop_oldest(self) -> int:
        """Its bytes."""
        oldest = self.entries.popleft()
        self.size -= oldest.size
        for feed in oldest.feeds:
            feed.drop_oldest()
        return oldest.size


def _size_of(share: _Share) -> int:
    return share.size


class Cursor:
    """One stream's place in its feed. `since` is the number of the first entry that came after the stream began.

    `events` and `gaps` count what it has taken.

    An event that is published again is skipped when this stream has had it: when its earlier entry is not below
    `since`.
    """

    __slots__ = ("_since", "ended", "events", "feed", "gaps", "place", "position")

    def __init__(self, feed: Feed, since: int, position: bytes) -> None:
        self.feed = feed
        self.place = feed.end
        self.position = position  # from where nothing is missing
        self._since = since
        self.events = 0
        self.gaps = 0
        self.ended = False  # with what it has taken last: its trace was deleted

    @property
    def at_end(self) -> bool:
        return self.place >= self.feed.end

    @property
    def fell_behind(self) -> bool:
        """Whether entries that it had not taken have left the ring."""
        return self.place < self.feed.start

    def skip_to_end(self) -> int:
        """Give up what it has not taken; how many entries that is."""
        missed = self.feed.end - self.place
        self.place = self.feed.end
        return missed

    def take(self, most_bytes: int) -> bytes:
        """The frames that come next, up to `most_bytes` or one; it must not have fallen behind."""
        feed, form = self.feed, self.feed.form
        wires: list[bytes] = []
        size = 0
        while self.place < feed.end:
            entry = feed.at(self.place)
            frame = entry.frames[form]
            if not self._had(entry):
                if wires and size + len(frame.wire) > most_bytes:
                    break
                size += len(frame.wire)
                wires.append(frame.wire)
                if entry.repeat_of == GAP:
                    self.gaps += 1
                elif entry.repeat_of == DELETED:
                    self.ended = True
                elif frame.wire:
                    self.events += 1
            self.place += 1
            self.position = frame.position
        return b"".join(wires)

    def _had(self, entry: Entry) -> bool:
        return entry.repeat_of != NO_REPEAT and entry.repeat_of >= self._since

"""The feeds that streams are open for, found by the trace, the channel or the tenant of an event. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from gateway.control.credentials import Generation
from gateway.live.filter import LiveFilter
from gateway.live.ring import Feed
from producers.event import Event
from producers.topics import event_key

Place = TypeVar("Place")
_Scope = tuple[str, int] | tuple[str]  # of a channel, of a tenant


class Feeds:
    """One feed for each filter and generation, as long as a stream is open for it."""

    def __init__(self) -> None:
        self._feeds: dict[tuple[LiveFilter, Generation], Feed] = {}
        self._of_traces: dict[bytes, list[Feed]] = {}
        self._of_scopes: dict[_Scope, list[Feed]] = {}
        self.streams = 0

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def open(self, wanted: LiveFilter, generation: Generation) -> Feed:
        """The feed of this filter, for one stream more."""
        feed = self._feeds.get((wanted, generation))
        if feed is None:
            feed = self._feeds[wanted, generation] = Feed(wanted, generation)
            if wanted.trace_id is not None:
                self._of_traces.setdefault(event_key(wanted.trace_id), []).append(feed)
            else:
                self._of_scopes.setdefault(_scope(wanted), []).append(feed)
        feed.streams += 1
        self.streams += 1
        return feed

    def close(self, feed: Feed) -> None:
        """One stream less."""
        self.streams -= 1
        feed.streams -= 1
        if feed.streams:
            return
        wanted = feed.wanted
        del self._feeds[wanted, feed.form.generation]
        if wanted.trace_id is not None:
            _remove(self._of_traces, event_key(wanted.trace_id), feed)
        else:
            _remove(self._of_scopes, _scope(wanted), feed)

    def can_match(self, key: bytes | None) -> bool:
        """Whether a record of this key may be for any feed: a record of no interest need not be read at all."""
        return bool(self._of_scopes) or key in self._of_traces

    def matching(self, key: bytes | None, event: Event) -> list[Feed]:
        """The feeds that an event is for."""
        tenant_id = event.tenant_id
        near: tuple[Iterable[Feed], ...] = (
            self._of_traces.get(key or b"", ()),
            self._of_scopes.get((tenant_id, event.channel_id), ()),
            self._of_scopes.get((tenant_id,), ()),
        )
        return [feed for feeds in near for feed in feeds if feed.wanted.matches(event)]


def _scope(wanted: LiveFilter) -> _Scope:
    return (wanted.tenant_id,) if wanted.channel_id is None else (wanted.tenant_id, wanted.channel_id)


def _remove(feeds: dict[Place, list[Feed]], place: Place, feed: Feed) -> None:
    feeds[place].remove(feed)
    if not feeds[place]:
        del feeds[place]

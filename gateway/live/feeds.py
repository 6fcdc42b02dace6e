"""The feeds that streams are open for, found by what an event is, however many there are. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from axonstream.contract.event import Event
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.ring import Feed
from axonstream.kafka.topics import event_key

_Names = tuple[bool, ...]  # which fields a filter names, after the tenant


class Feeds:
    """One feed for each filter and generation, as long as a stream is open for it.

    A filter compares fields for equality alone, so the filters that name the same fields are found by one look-up of
    the event's values. An event costs at most 32 of them (five fields, named or not), of those of its own tenant.
    """

    def __init__(self) -> None:
        self._feeds: defaultdict[tuple[object, ...], dict[ApiVersion, Feed]] = defaultdict(dict)  # by LiveFilter
        self._named: defaultdict[str, Counter[_Names]] = defaultdict(Counter)  # by tenant, of how many feeds
        self._traces: Counter[bytes] = Counter()  # by the key of their records, of how many feeds
        self._of_any_trace = 0
        self.streams = 0

    def __iter__(self) -> Iterator[Feed]:
        return (feed for feeds in self._feeds.values() for feed in feeds.values())

    def open(self, wanted: LiveFilter, generation: ApiVersion) -> Feed:
        """The feed of this filter, for one stream more."""
        feeds = self._feeds[wanted]
        feed = feeds.get(generation)
        if feed is None:
            feed = feeds[generation] = Feed(wanted, generation)
            self._count(wanted, 1)
        feed.streams += 1
        self.streams += 1
        return feed

    def close(self, feed: Feed) -> bool:
        """One stream less. Whether it was the last of its tenant."""
        self.streams -= 1
        feed.streams -= 1
        wanted = feed.wanted
        if not feed.streams:
            del self._feeds[wanted][feed.form.generation]
            if not self._feeds[wanted]:
                del self._feeds[wanted]
            self._count(wanted, -1)
        return wanted.tenant_id not in self._named

    def can_match(self, key: bytes | None) -> bool:
        """Whether a record of this key may be for any feed: a record of no interest need not be read at all."""
        return bool(self._of_any_trace) or key in self._traces

    def matching(self, event: Event) -> list[Feed]:
        """The feeds that an event is for, which are all of its tenant."""
        named = self._named.get(event.tenant_id)
        if named is None:
            return []
        found: list[Feed] = []
        for channel, trace, identifier, agent, event_type in named:
            wanted = (  # the LiveFilter, as a tuple: making that takes longer than the look-up
                event.tenant_id,
                event.channel_id if channel else None,
                event.trace_id if trace else None,
                event.identifier if identifier else None,
                event.agent_id if agent else None,
                event.event_type if event_type else None,
            )
            if (feeds := self._feeds.get(wanted)) is not None:
                found += feeds.values()
        return found

    def _count(self, wanted: LiveFilter, change: int) -> None:
        named = self._named[wanted.tenant_id]
        names = tuple(value is not None for value in wanted[1:])
        named[names] += change
        if not named[names]:
            del named[names]
        if not named:
            del self._named[wanted.tenant_id]
        if wanted.trace_id is None:
            self._of_any_trace += change
            return
        key = event_key(wanted.trace_id)
        self._traces[key] += change
        if not self._traces[key]:
            del self._traces[key]

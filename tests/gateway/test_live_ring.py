"""The ring of live events: whatever is read and whenever, a cursor hands out all of its feed or says what it missed."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.event import Event, decode_event
from axonstream.gateway.access.authentication import ApiVersion
from axonstream.gateway.live.feeds import Feeds
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.repeats import Repeats
from axonstream.gateway.live.ring import GAP, NO_REPEAT, Cursor, Feed, Frame, Ring
from kit.sample_events import event_value

EARLY = ApiVersion.V0


def put(ring: Ring, feeds: list[Feed], text: str, repeat_of: int = NO_REPEAT, size: int = 0) -> None:
    wire = f"{text} ".encode() + b"." * size
    ring.append(repeat_of, {feed.form: Frame(text.encode(), wire) for feed in feeds}, feeds)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3000)) | st.sampled_from(["take a", "take b"])))
def test_a_cursor_hands_out_its_feed_in_order_or_says_how_much_it_missed(steps: list[Any]) -> None:
    ring, feeds = Ring(most_bytes=6000), Feeds()
    opened = {name: feeds.open(LiveFilter("1", agent_id=name), EARLY) for name in "ab"}
    cursors = {name: Cursor(feed, ring.number, b"start") for name, feed in opened.items()}
    owed: dict[str, list[str]] = {"a": [], "b": []}

    def take(name: str) -> None:
        cursor = cursors[name]
        if cursor.fell_behind:
            missed = cursor.skip_to_end()
            assert missed == len(owed[name]) > 0
            owed[name].clear()
        while not cursor.at_end:
            for text in cursor.take(most_bytes=1000).decode().replace(".", "").split():
                assert text == owed[name].pop(0)
                assert cursor.position >= text.encode() or len(cursor.position) > len(text)
        assert owed[name] == []

    for number, step in enumerate(steps):
        if isinstance(step, str):
            take(step[-1])
        else:
            name, size = step
            put(ring, [opened[name]], str(number), size=size)
            owed[name].append(str(number))
            assert ring.size <= 6000 or opened[name].end - opened[name].start == 1
    take("a")
    take("b")


def test_the_position_of_a_reader_that_fell_behind_is_that_of_the_last_it_took() -> None:
    ring, feed = Ring(most_bytes=2000), Feeds().open(LiveFilter("1"), EARLY)
    cursor = Cursor(feed, ring.number, b"start")
    put(ring, [feed], "one")
    assert cursor.take(10_000) == b"one "
    for number in range(10):
        put(ring, [feed], f"later {number}")
    assert cursor.fell_behind
    assert (cursor.position, cursor.skip_to_end(), cursor.position) == (b"one", 10, b"one")
    put(ring, [feed], "live")
    assert (cursor.take(10_000), cursor.position) == (b"live ", b"live")


def event_of(event_id: int, dedup_key: str = "") -> Event:
    value = event_value("t", event_id)
    return msgspec.structs.replace(decode_event(value), event_id=event_id, dedup_key=dedup_key)


def test_what_a_cursor_has_taken_is_counted_as_events_and_gaps() -> None:
    ring, feed = Ring(1 << 20), Feeds().open(LiveFilter("1"), EARLY)
    cursor, later = Cursor(feed, ring.number, b""), Cursor(feed, 0, b"")
    for text, repeat_of in (("one", NO_REPEAT), ("gap", GAP), ("two", NO_REPEAT), ("again", 1)):
        put(ring, [feed], text, repeat_of)
    assert (cursor.take(1), cursor.events, cursor.gaps) == (b"one ", 1, 0)
    assert (cursor.take(1000), cursor.events, cursor.gaps) == (b"gap two ", 2, 1)
    assert (later.take(1000), later.events, later.gaps) == (b"one gap two ", 2, 1)


def test_a_repeat_is_skipped_by_those_who_had_the_event_and_by_who_resumes() -> None:
    ring, feed, repeats = Ring(1 << 20), Feeds().open(LiveFilter("1"), EARLY), Repeats(10)
    event = event_of(7, "k")
    had, resumed = Cursor(feed, ring.number, b""), Cursor(feed, 0, b"")
    put(ring, [feed], "first", repeats.seen(event, ring.number))
    later = Cursor(feed, ring.number, b"")
    put(ring, [feed], "again", repeats.seen(event, ring.number))
    assert [cursor.take(1000) for cursor in (had, resumed, later)] == [b"first ", b"first ", b"again "]
    put(ring, [feed], "thrice", repeats.seen(event, ring.number))
    assert [cursor.take(1000) for cursor in (had, resumed, later)] == [b"", b"", b""]


def test_what_a_resumed_stream_has_read_is_no_repeat_for_others() -> None:
    ring, feed, repeats = Ring(1 << 20), Feeds().open(LiveFilter("1"), EARLY), Repeats(10)
    event = event_of(7, "k")
    repeats.remember(event)
    fresh, resumed = Cursor(feed, ring.number, b""), Cursor(feed, 0, b"")
    put(ring, [feed], "again", repeats.seen(event, ring.number))
    assert (fresh.take(1000), resumed.take(1000)) == (b"again ", b"")


def test_events_without_a_dedup_key_are_never_repeats() -> None:
    repeats = Repeats(10)
    event = event_of(7)
    assert (repeats.seen(event, 1), repeats.seen(event, 2)) == (NO_REPEAT, NO_REPEAT)


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats(3)
    events = [event_of(n, "k") for n in range(5)]
    for number, event in enumerate(events):
        repeats.seen(event, number)
    assert repeats.seen(events[4], 9) == 4
    assert repeats.seen(events[0], 10) == NO_REPEAT


def test_a_loud_tenant_makes_gaps_for_its_own_slow_readers_alone() -> None:
    """S10: the oldest event left the ring whoever it was of, so one loud tenant made gaps for all."""
    ring, feeds = Ring(most_bytes=100_000), Feeds()
    quiet, loud, other = (feeds.open(LiveFilter(tenant), EARLY) for tenant in ("quiet", "loud", "other"))
    cursors = [Cursor(feed, ring.number, b"") for feed in (quiet, loud, other)]
    put(ring, [quiet], "first")
    for number in range(1000):
        put(ring, [loud], str(number), size=1000)
        if number % 100 == 0:
            put(ring, [quiet], f"later{number}")
            put(ring, [other], str(number), size=10_000)  # more than a third of the ring, in the end
            assert cursors[0].fell_behind is False
    assert ring.size <= 100_000
    assert cursors[0].take(100_000).split() == [b"first", *(b"later%d" % number for number in range(0, 1000, 100))]
    assert [cursor.fell_behind for cursor in cursors] == [False, True, True]


def test_what_a_tenant_has_in_the_ring_goes_with_its_last_stream() -> None:
    ring, feeds = Ring(1 << 20), Feeds()
    left, stays = feeds.open(LiveFilter("left"), EARLY), feeds.open(LiveFilter("stays"), EARLY)
    for feed in (left, stays):
        put(ring, [feed], "one", size=1000)
    assert not feeds.close(feeds.open(LiveFilter("left", agent_id="a"), EARLY))
    assert feeds.close(left)
    before = ring.size
    ring.forget("left")
    assert ring.size * 2 == before
    assert Cursor(stays, 0, b"").at_end
    assert stays.start == 0


@given(st.lists(st.tuples(*([st.sampled_from([None, "a", "b"])] * 4)), max_size=12), st.booleans())
def test_the_feeds_of_an_event_are_those_whose_filter_lets_it_through(wanted: list[Any], recent: bool) -> None:
    feeds = Feeds()
    generation = ApiVersion.V1 if recent else EARLY
    opened = [
        feeds.open(LiveFilter(tenant, channel, *texts), each)
        for tenant, channel in (("1", None), ("1", 1), ("2", None))
        for texts in wanted
        for each in (EARLY, generation)
    ]
    template = decode_event(event_value("a", 1))
    for channel, trace, agent, event_type in ((1, "a", "a", "b"), (2, "b", "", "a"), (1, "a", "b", "a")):
        changes = {"channel_id": channel, "trace_id": trace, "agent_id": agent, "event_type": event_type}
        event = msgspec.structs.replace(template, tenant_id="1", identifier="b", **changes)
        found = feeds.matching(event)
        assert len(found) == len(set(found))
        assert set(found) == {feed for feed in opened if feed.wanted.matches(event)}
        assert feeds.can_match(trace.encode()) or not found
    for feed in opened:
        feeds.close(feed)
    assert list(feeds) == []
    assert not feeds.can_match(b"a")
    assert feeds._named == {}


def test_an_event_costs_the_same_however_many_filters_its_tenant_has() -> None:
    """S10: each event of a tenant was compared with every distinct filter of its streams."""

    def steps(filters: int) -> int:
        feeds, calls = Feeds(), 0
        for number in range(filters):
            feeds.open(LiveFilter("1", agent_id=f"agent {number}"), EARLY)
        event = msgspec.structs.replace(event_of(1), tenant_id="1", agent_id="agent 3")

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            found = feeds.matching(event)
        finally:
            sys.setprofile(None)
        assert [feed.wanted.agent_id for feed in found] == ["agent 3"]
        return calls

    assert steps(5000) == steps(10)

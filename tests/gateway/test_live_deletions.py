"""A deletion in the log, as live streams see it: what waits of the trace goes, its own streams are told and end."""

from __future__ import annotations

import asyncio

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import MARKER_KEY, Deletion, Late, marker_value
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Place, mark_of
from axonstream.gateway.live.reader import LiveReader
from axonstream.gateway.live.ring import Cursor
from axonstream.gateway.live.stream import LiveStream
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from kit.live_records import LiveRecord
from kit.sample_events import event_value


def published(trace_id: str, offset: int) -> LiveRecord:
    return LiveRecord(0, offset, event_key(trace_id), event_value(trace_id, offset, b'{"n":%d}' % offset))


def marker(offset: int, *traces: str, tenant_id: str = "1", late: Late = Late.REFUSED) -> LiveRecord:
    return LiveRecord(0, offset, MARKER_KEY, marker_value(tenant_id, Deletion(9, traces, late, 1)))


class Streams:
    """A reader without Kafka, of a log of one partition."""

    def __init__(self) -> None:
        self.deleted = DeletedTraces()
        self.reader = LiveReader(Settings(), lambda _: None, lambda *_: None, self.deleted)
        self.reader._read = ReadSoFar(mark_of("cluster", "topic"), [Place(0)])
        self.reader.delivery.topic_id = "log"

    def open(self, trace_id: str | None = None, tenant_id: str = "1") -> Cursor:
        return self.reader.open(LiveFilter(tenant_id, trace_id=trace_id), ApiVersion.V0, resumes=False)

    def take(self, *records: LiveRecord) -> None:
        for record in records:
            self.reader.read.advance(record)
            self.reader.delivery.take(self.reader.read, record)  # pyright: ignore[reportArgumentType]


def test_what_waits_of_a_deleted_trace_is_not_sent_and_its_own_stream_ends() -> None:
    async def scenario() -> None:
        streams = Streams()
        of_all, of_trace, of_other = streams.open(), streams.open("tr_a"), streams.open("tr_b")
        streams.take(published("tr_a", 0), published("tr_b", 1), published("tr_a", 2))
        before = streams.reader.ring.size
        streams.take(marker(3, "tr_a"))
        assert streams.reader.ring.size < before
        stream = LiveStream(streams.reader, of_trace, None, lambda: None, lambda _: None, LiveCounts(), positions=True)
        told = await stream._next()
        assert b'"reason":"deleted"' in told
        assert b"tr_a" not in told.replace(b"deleted", b"")
        assert of_trace.ended
        rest = of_all.take(1 << 20)
        assert b'"n":1' in rest
        assert b'"n":0' not in rest
        assert b'"n":2' not in rest
        assert (of_all.ended, of_all.events) == (False, 1)
        assert b'"n":1' in of_other.take(1 << 20)
        assert not of_other.ended
        for cursor in (of_all, of_trace, of_other):
            streams.reader.close(cursor)
        assert streams.reader.ring.size == 0
        await streams.reader.stop()

    asyncio.run(scenario())


def test_another_tenants_trace_of_the_same_name_is_not_touched() -> None:
    async def scenario() -> None:
        streams = Streams()
        mine, my_trace = streams.open(), streams.open("tr_a")
        streams.take(published("tr_a", 0), marker(1, "tr_a", tenant_id="2"), marker(2, tenant_id="2"))
        assert b'"n":0' in mine.take(1 << 20)
        assert b'"n":0' in my_trace.take(1 << 20)
        assert not my_trace.ended
        await streams.reader.stop()

    asyncio.run(scenario())


def test_a_deleted_event_that_is_read_again_or_comes_late_is_not_delivered() -> None:
    async def scenario() -> None:
        streams = Streams()
        mine = streams.open()
        streams.deleted.put("1", Deletion(9, ("tr_a",), Late.STORED, 1, "log", (5,)))
        streams.deleted.put("1", Deletion(8, ("tr_r",), Late.REFUSED, 1, "log", (5,)))
        streams.take(published("tr_a", 4), published("tr_a", 6), published("tr_r", 7), published("tr_b", 8))
        rest = mine.take(1 << 20)
        assert [b'"n":%d' % number in rest for number in (4, 6, 7, 8)] == [False, True, False, True]
        await streams.reader.stop()

    asyncio.run(scenario())

"""A tenant whose stream is quiet learns nothing of what others publish: neither by its positions nor by their times."""

from __future__ import annotations

import asyncio

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.filter import LiveFilter
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Place, mark_of, read_position
from axonstream.gateway.live.reader import LiveReader
from axonstream.gateway.live.stream import LiveStream
from axonstream.settings.settings import Settings
from kit.live_records import LiveRecord

MARK = mark_of("cluster", "topic")


def test_a_quiet_stream_tells_positions_alike_whether_others_publish_or_not() -> None:
    """S17: positions were sealed, but one came only when another tenant had published, and equal ones looked equal."""

    async def scenario() -> None:
        reader = LiveReader(Settings(), lambda _: None, lambda *_: None)
        read = reader._read = ReadSoFar(MARK, [Place(5), Place(5)])
        cursor = reader.open(LiveFilter("1"), ApiVersion.V0, resumes=False)
        opened = cursor.position
        stream = LiveStream(reader, cursor, None, lambda: None, lambda _: None, LiveCounts(), positions=True)
        quiet = [await stream._next(), await stream._next()]
        read.advance(LiveRecord(0, 699, None, b"another tenant's"))
        after = await stream._next()
        assert len({len(frame) for frame in (*quiet, after)}) == 1
        assert len({opened, cursor.position, *quiet, after}) == 5
        sealed = reader.delivery.sealed.content("1", cursor.position.decode())
        assert {p: place.offset for p, place in read_position(sealed, MARK).places.items()} == {0: 700, 1: 5}
        reader.close(cursor)
        await reader.stop()

    asyncio.run(scenario())

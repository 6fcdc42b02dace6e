"""One live stream as an ASGI answer: catch up if need be, then follow the feed, until somebody ends it.

It holds at most what the connection has not taken yet (WRITE_BYTES and one chunk) and a cursor. A reader that lags
behind the ring is told what it missed (`gap`) and goes on live. One that takes nothing for STALL_S is cut off; it
resumes where it was. The key is looked at again with every comment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from starlette.types import Receive, Scope, Send

from axonstream.gateway.http.errors import GatewayError, UnavailableError
from axonstream.gateway.http.exchange import Exchange, exchange_of
from axonstream.gateway.live.catch_up import CHUNK_BYTES, CatchUp
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.frames import COMMENT, gap_frame, position_frame
from axonstream.gateway.live.reader import LiveReader
from axonstream.gateway.live.ring import Cursor
from axonstream.process.loop_share import short_turn

log = logging.getLogger(__name__)

COMMENT_S = 5.0
STALL_S = 30.0
WRITE_BYTES = 32 << 10
_END_S = 1.0

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",  # nginx: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class _StalledError(Exception):
    def __init__(self) -> None:
        super().__init__(f"its reader has taken nothing for {STALL_S:.0f} s")


class LiveStream:
    """The answer to a subscription whose cursor is open.

    `check_key` raises RefusedError when the key is no longer good; `closed` is called when the stream has ended,
    however that came. `positions`: also tell positions that no event has, so that a quiet stream resumes near its end.
    `from_old_position`: say that the stream begins now, because its reader came with a position of an early version.
    """

    def __init__(
        self,
        reader: LiveReader,
        cursor: Cursor,
        catch_up: CatchUp | None,
        check_key: Callable[[], object],
        closed: Callable[[LiveStream], None],
        counts: LiveCounts,
        *,
        positions: bool,
        from_old_position: bool = False,
    ) -> None:
        self._reader = reader
        self._cursor = cursor
        self._catch_up = catch_up
        self._check_key = check_key
        self._closed = closed
        self._counts = counts
        self._positions = positions
        self._from_old_position = from_old_position
        self._writing: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None
        self._comment_at = 0.0

    def end(self) -> None:
        """End the stream now, cleanly for the reader, who resumes elsewhere."""
        if self._writing is not None:
            self._writing.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._exchange = exchange_of(scope)
        if self._exchange is not None:
            self._exchange.hold_at_most(WRITE_BYTES)
        self._writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait([self._writing, leaving], return_when=asyncio.FIRST_COMPLETED)
            gone = leaving.done()
            for task in (self._writing, leaving):
                task.cancel()
            await asyncio.wait([self._writing, leaving])
            if not gone:
                await self._finish(send, self._writing)
        finally:
            for task in (self._writing, leaving):
                task.cancel()
            if self._catch_up is not None:
                await self._catch_up.stop()
            self._reader.close(self._cursor)
            self._closed(self)

    async def _finish(self, send: Send, written: asyncio.Task[None]) -> None:
        defect = None if written.cancelled() else written.exception()
        if defect is not None and not isinstance(defect, (_StalledError, GatewayError)):
            raise defect
        log.info("a live stream ended: %s", defect or "it was told to")
        if not isinstance(defect, _StalledError):
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        if self._exchange is not None:
            self._exchange.abort()

    async def _write(self, send: Send) -> None:
        position = (b"x-axonstream-position", self._cursor.position)
        headers = _RAW_HEADERS if self._catch_up is not None else [*_RAW_HEADERS, position]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._from_old_position:
            self._counts.gaps["old_position"] += 1
            at = self._cursor.position
            await self._send(send, gap_frame("old_position", at) + position_frame(at))
        if self._catch_up is not None:
            while (chunk := await self._catch_up.next(self._until_comment())) is not None:
                await self._send(send, chunk)
        while not self._cursor.ended:
            await self._send(send, await self._next())

    async def _next(self) -> bytes:
        """What comes next of the feed; b"" when it is time for a comment."""
        cursor = self._cursor
        if cursor.fell_behind:
            self._counts.gaps["slow"] += 1
            return gap_frame("slow", cursor.position, missed=cursor.skip_to_end())
        if cursor.at_end:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_comment()):
                    await cursor.feed.changed.wait()
                    await short_turn()
        if cursor.at_end:
            return self._position_of_the_end()
        return b"" if cursor.fell_behind else self._take()

    def _take(self) -> bytes:
        cursor, counts = self._cursor, self._counts
        events, gaps = cursor.events, cursor.gaps
        chunk = cursor.take(CHUNK_BYTES)
        counts.events += cursor.events - events
        counts.gaps["expired"] += cursor.gaps - gaps
        return chunk

    def _position_of_the_end(self) -> bytes:
        """All of the feed is sent, so nothing is missing below what the reader has read, wanted or not.

        It is told with every comment: if it came when something was read, a quiet tenant would see others publish.
        """
        cursor = self._cursor
        cursor.position = self._reader.position(cursor.feed)
        return position_frame(cursor.position) if self._positions else b""

    async def _send(self, send: Send, chunk: bytes) -> None:
        if monotonic() >= self._comment_at:
            with suppress(UnavailableError):  # it cannot be said just now
                self._check_key()
            self._comment_at = monotonic() + COMMENT_S
            chunk = COMMENT + chunk
        if not chunk:
            return
        message = {"type": "http.response.body", "body": chunk, "more_body": True}
        if self._exchange is not None and not self._exchange.full:
            await send(message)
            return
        sending = asyncio.ensure_future(send(message))
        try:
            unsent = self._unsent()
            while not (await asyncio.wait([sending], timeout=STALL_S))[0]:
                if self._unsent() >= unsent:
                    raise _StalledError
                unsent = self._unsent()
            sending.result()
        finally:
            sending.cancel()

    def _until_comment(self) -> float:
        return max(0.0, self._comment_at - monotonic())

    def _unsent(self) -> int:
        return 0 if self._exchange is None else self._exchange.unsent


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

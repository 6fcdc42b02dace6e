"""uvicorn's HTTP protocol with bounds: on a request's head, on what comes ahead of its turn, and on waiting.

Nothing of this needs a key, so each bound holds before anything is kept:

1. a head (request line and header lines) has at most 64 KiB and 100 lines, else 431; so has what frames a body (chunk
   extensions, trailers) without a byte of the body in it, else 400;
2. a head is complete within 10 s, else 408; no connection is idle for more than 75 s (`connections.py`);
3. requests that come before the answer to an earlier one are not read further than a piece of PIECE bytes;
4. trailer fields are dropped: they are no header of the request (RFC 9110 6.5.1);
5. `Upgrade` is ignored (RFC 9110 7.8). httptools takes the end of such a head for the end of HTTP, so its request is
   read again by a new parser without that field: a body is never taken for the next request.
"""

from __future__ import annotations

from typing import Any, cast

import httptools
from httptools import HttpRequestParser
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from axonstream.gateway.http.connections import HEAD_S, Connections
from axonstream.gateway.http.errors import RETRY_AFTER_S, error_body, fresh_request_id
from axonstream.gateway.http.exchange import EXTENSION, Exchange

MOST_HEAD_BYTES = 64 << 10
MOST_HEAD_LINES = 100
PIECE = 16 << 10  # fed to the parser at once: its callbacks tell in which piece something ended, not where
_LINE = len(b": \r\n")
_REQUEST_LINE = len(b"GET  HTTP/1.1\r\n\r\n")

_REFUSALS = {
    400: ("this is not HTTP/1.1 as this server takes it", "Send the request with a usual HTTP client."),
    408: (f"the request's head was not complete within {HEAD_S:.0f} s", "Send the request again, whole."),
    431: (
        f"the request's head is larger than {MOST_HEAD_BYTES} bytes or {MOST_HEAD_LINES} lines",
        "Send fewer or shorter headers, or a shorter URL; data belongs into the body.",
    ),
    501: ("CONNECT is not implemented: this server is no proxy", "See /openapi.json for the calls that it answers."),
    503: ("too many connections are open here, or from your address", "Connect again later, or to another gateway."),
}


class _RefusedHeadError(Exception):
    """Raised in a callback of the parser, which hands it on as the context of its own error."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Dropped(list[tuple[bytes, bytes]]):
    """What trailer fields are appended to: nothing of them is kept."""

    def append(self, _: tuple[bytes, bytes], /) -> None:
        return


_TRAILERS = _Dropped()


class GatewayProtocol(HttpToolsProtocol):
    """One connection. Every request has its `Exchange`. `place` is what it is counted by, where it has one already."""

    def __init__(self, *args: Any, connections: Connections, place: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections = connections
        self._place = place
        self.begun = False  # from then on it gives its place back itself
        self._idle = connections.idle
        self._counted: str | None = None  # None: it has no place among the connections
        self._awaited = False  # whether the head's clock runs
        self._unframed = 0  # bytes since the parser last had something of use, of whole pieces
        self._unread = b""  # what came behind a request that waits for its turn
        self._last_words = 0  # the status to close with, after the answers that are under way
        self._deaf = False  # whether the last word is said: what still comes is not looked at
        self._upgrading = False  # whether the parser is about to stop at a head that asks for it

    # The connection

    def connection_made(self, transport: Any) -> None:
        self.begun = True
        peer = transport.get_extra_info("peername")
        self._counted = self._place
        if self._counted is None:
            self._counted = self._connections.take(peer[0] if isinstance(peer, tuple) else None)
        if self._counted is None:
            self.transport = transport
            self._say(503)
            transport.close()
        else:
            super().connection_made(transport)
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted is not None:
            self._connections.leave(self, self._counted)
            self._counted = None
        self._unread = b""
        super().connection_lost(exc)

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        return bool(self.cycle) and not self.cycle.response_complete

    def end(self, *, late_head: bool) -> None:
        """Close a connection whose time is over: with a word when half a head has come."""
        if late_head and self._in_head() and not self._deaf:
            self._say(408)
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # closing would wait until the reader takes it
        else:
            self.transport.close()

    # What comes

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if len(data) > PIECE or self._unread or self.pipeline:
            self._unread += data
            self._read_on()
        else:
            self._feed(data)
            self._set_clock()

    def _read_on(self) -> None:
        """Feed what has come, piece by piece, until a request waits for the answer to an earlier one."""
        unread, at = memoryview(self._unread), 0
        while at < len(unread) and not self.pipeline and not self._deaf:
            self._feed(unread[at : at + PIECE])
            at += PIECE
        self._unread = b"" if self._deaf else bytes(unread[at:])
        if self._unread:
            self.flow.pause_reading()
        self._set_clock()

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._last_words:
            return
        self._unframed += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as stop:
            self._read_without_upgrade(piece[stop.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _RefusedHeadError) else 400)
        else:
            if self._unframed > MOST_HEAD_BYTES:
                self._refuse(431 if self._in_head() else 400)

    def _in_head(self) -> bool:
        """Whether a head has begun that is not complete."""
        return bool(self.scope) and not (self.cycle and self.cycle.scope is self.scope)

    def _set_clock(self) -> None:
        """None runs while a request is being answered, and nothing of the next one has come."""
        cycle = self.cycle
        if not cycle or cycle.scope is not self.scope:
            self._await_head()
        elif not cycle.response_complete:
            self._idle.pop(self, None)
            if self._awaited:
                self._awaited = False
                self._connections.forget(self)
        elif not cycle.more_body:  # the rest of a body whose request was answered before
            self._awaited = False
            self._connections.be_idle(self)

    def _await_head(self) -> None:
        self._awaited = True
        self._connections.await_head(self)

    def _read_without_upgrade(self, rest: bytes | memoryview) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._upgrading = False
        if method == b"CONNECT":
            self._refuse(501)
            return
        head = [b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())]
        head += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self._feed(b"".join((*head, b"\r\n")))
        if rest and not self._deaf:
            self._feed(rest)

    # What cannot be read

    def _refuse(self, status: int) -> None:
        """Answer and close, in the order of the requests: after the answers that are under way."""
        cycle = self.cycle
        in_body = bool(cycle) and cycle.scope is self.scope and cycle.more_body
        if not self.answering:
            self._end_with(0 if in_body else status)  # 0: the request has its answer
        elif in_body and not self.pipeline and not cycle.response_started:
            cycle.disconnected = cycle.response_complete = True  # it has this answer, and no other
            cycle.message_event.set()
            self._end_with(status)
        else:
            self._last_words = status
            self.flow.pause_reading()

    def _end_with(self, status: int) -> None:
        """Say it, and let the sender see it: closing while it still sends would take the answer from it."""
        if status:
            self._say(status)
        self._deaf = True
        self._unread = b""
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._await_head()  # so long it may go on sending
        else:
            self.transport.close()

    def _say(self, status: int) -> None:
        message, hint = _REFUSALS[status]
        body = error_body(status, message, hint, fresh_request_id())
        head = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"content-length: %d\r\ncontent-type: application/json\r\n" % len(body))
        head.append(b"retry-after: %d\r\n" % RETRY_AFTER_S if status == 503 else b"")
        head.append(b"connection: close\r\n\r\n")
        self.transport.write(b"".join((*head, body)))

    # The parser's callbacks

    def on_headers_complete(self) -> None:
        if len(self.headers) > MOST_HEAD_LINES:
            raise _RefusedHeadError(431)
        if self._unframed > MOST_HEAD_BYTES - PIECE and self._head_bytes() > MOST_HEAD_BYTES:
            raise _RefusedHeadError(431)
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._unframed = 0
        super().on_headers_complete()
        self.headers = _TRAILERS

    def _head_bytes(self) -> int:
        lines = sum(len(name) + len(value) + _LINE for name, value in self.headers)
        return _REQUEST_LINE + len(self.url) + lines

    def on_body(self, body: bytes) -> None:
        self._unframed = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self._unframed = 0
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()

    # The answer

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cast("Scope", cycle.scope)["extensions"] = {EXTENSION: Exchange(cycle)}
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._counted is None:
            return  # the connection is lost
        if self.transport.is_closing():
            self._connections.be_idle(self)  # until the answer is taken
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            self._go_on()
        elif self._last_words:
            self._end_with(self._last_words)
        else:
            cycle = self.cycle
            cycle.body.clear()  # a connection without a request holds nothing
            if cycle.scope is self.scope and not cycle.more_body:
                self._connections.be_idle(self)
            else:
                self._connections.forget(self)
                self._await_head()
            self._go_on()

    def _go_on(self) -> None:
        if self._unread:
            self._read_on()
        if not self._unread and not self.pipeline and not self._last_words:
            self.flow.resume_reading()

"""One request and its answer, past ASGI's messages: for a body that has come whole and an answer of one piece.

ASGI hands both over in messages, each with a coroutine of its own, and uvicorn looks at every header anew: a quarter
of what it costs to take one event. The short way is an ASGI extension (scope["extensions"]); an application that does
not know it, or is served by another server, uses the messages.
https://asgi.readthedocs.io/en/latest/extensions.html
"""

from __future__ import annotations

from socket import SO_SNDBUF, SOL_SOCKET

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXTENSION = "axonstream.exchange"


class Exchange:
    """One request and its answer, beside `receive` and `send`."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def body_at_hand(self) -> bytes | None:
        """The whole body; None while it is not all there: then it has to be received."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()  # a connection without a request holds nothing
        return body

    def answer(self, status: int, body: bytes, media_type: bytes) -> bool:
        """Send the whole answer. False when it cannot be written at once: then it has to be sent."""
        cycle = self._cycle
        if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        head = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"content-length: %d\r\ncontent-type: %b\r\n" % (len(body), media_type))
        head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        head.append(body)
        cycle.transport.write(b"".join(head))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True

    @property
    def full(self) -> bool:
        """Whether the connection takes nothing more now: the next message would wait for the reader."""
        return self._cycle.flow.write_paused

    @property
    def unsent(self) -> int:
        """Bytes that the connection has not taken yet."""
        return self._cycle.transport.get_write_buffer_size()

    def hold_at_most(self, size: int) -> None:
        """From now on the connection is full when it holds more than `size` bytes (and what was written last).

        The kernel holds some more of its own: about four times as much.
        """
        self._cycle.transport.set_write_buffer_limits(high=size)
        connection = self._cycle.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(SOL_SOCKET, SO_SNDBUF, 2 * size)  # which the kernel doubles

    def abort(self) -> None:
        """Break the connection off, with what it holds."""
        self._cycle.transport.abort()


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, where the server offers it."""
    return scope.get("extensions", {}).get(EXTENSION)

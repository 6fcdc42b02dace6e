"""TLS for connections that have their place already: a handshake is counted, and over in HEAD_S.

A server that is made with TLS shows a connection only after its handshake, for which the client may take a minute: who
says nothing would be counted nowhere. So the server accepts plain connections, which get their place at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socket import socket
from ssl import SSLContext
from typing import Any, ClassVar, cast

from axonstream.gateway.http.connections import HEAD_S, Connections
from axonstream.gateway.http.protocol import GatewayProtocol

HANDSHAKE_S = 2 * HEAD_S  # never reached: the head's clock runs out first


class TlsHandshake(asyncio.Protocol):
    """A connection until its handshake is done; then it is a `GatewayProtocol`, which `http` makes.

    It never reads by itself: the handshake begins on a connected socket of its own, with nothing read from it. Where
    the handshake fails or takes too long, the connection is closed without a word, which the client could not read.
    """

    _under_way: ClassVar[set[asyncio.Task[None]]] = set()  # the loop keeps no task alive

    def __init__(
        self, context: SSLContext, connections: Connections, http: Callable[..., GatewayProtocol], **options: Any
    ) -> None:
        self._context = context
        self._connections = connections
        self._http = partial(http, connections=connections, **options)
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = cast("asyncio.Transport", transport)
        peer = accepted.get_extra_info("peername")
        place = self._connections.take(peer[0] if isinstance(peer, tuple) else None)
        if place is not None:
            own = socket(fileno=os.dup(accepted.get_extra_info("socket").fileno()))
            own.setblocking(False)
            self._shaking = asyncio.get_running_loop().create_task(self._shake_hands(own, place))
            self._under_way.add(self._shaking)
            self._shaking.add_done_callback(self._under_way.discard)
            self._connections.await_head(self)
        accepted.abort()  # before anything is read; the copy keeps the connection open

    @property
    def answering(self) -> bool:
        """Nothing can be answered yet."""
        return False

    def end(self, *, late_head: bool) -> None:
        """Close it; there is nobody to tell why."""
        del late_head
        if self._shaking is not None:
            self._shaking.cancel()

    async def _shake_hands(self, connection: socket, place: str) -> None:
        protocol = self._http(place=place)
        try:
            with suppress(OSError, TimeoutError):  # an SSLError is an OSError
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S
                )
        finally:
            self._connections.forget(self)
            if not protocol.begun:
                self._connections.leave(protocol, place)
                connection.close()

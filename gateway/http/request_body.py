"""Reading a request's body piece by piece: never more of it than is allowed, and not for longer than DEADLINE_S."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from axonstream.event_contract import MAX_EVENT_BYTES
from axonstream.gateway.http.body_room import BodyRoom, Held, no_room
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.gzip_body import is_gzip, unpacked
from axonstream.gateway.http.header_names import Headers

MAX_BULK_BYTES = 32 << 20
STALL_S = 10.0
LEAST_BYTES_PER_S = 16 << 10  # from then on: a body of which one byte comes now and then is none
DEADLINE_S = 120.0  # for the whole of it, however it comes


class RequestBody:
    """The body of one request; `at_hand` is all of it where it has come already.

    What it holds, `close` gives back.
    """

    __slots__ = ("_at_hand", "_headers", "_held", "_receive", "_room", "_tenant_id", "packed")

    def __init__(
        self,
        headers: Headers,
        receive: Receive,
        room: BodyRoom,
        at_hand: bytes | None = None,
    ) -> None:
        self._headers = headers
        self._receive = receive
        self._room = room
        self._at_hand = at_hand
        self._held: Held | None = None
        self._tenant_id = ""
        self.packed = False  # whether what was read has to be unpacked

    async def read(self, most: int, tenant_id: str) -> bytes:
        """The whole body as it was sent, of at most `most` bytes.

        Raises RefusedError 413 as soon as it is known to be longer, 415 for an encoding that is not taken, and 400
        when the sender goes away before its end, or sends too slowly; UnavailableError when there is no room for it.
        """
        encoding = self._headers.get(b"content-encoding")
        if encoding is not None:
            self.packed = is_gzip(encoding)
            self._tenant_id = tenant_id
        if self._at_hand is None:
            return await self._received(most, tenant_id)
        if len(self._at_hand) > most:
            raise _too_large(most)
        return self._at_hand

    async def content(self, sent: bytes, most: int) -> bytes:
        """What `read` has given, unpacked where it is packed. Raises RefusedError 413 and 400, UnavailableError."""
        if not self.packed:
            return sent
        if self._held is None:
            self._held = self._room.begin(self._tenant_id)
        return await unpacked(sent, most, self._held.take)

    def close(self) -> None:
        """The request has its answer."""
        if self._held is not None:
            self._held.end()

    async def _received(self, most: int, tenant_id: str) -> bytes:
        if int(self._headers.get(b"content-length", b"0")) > most:
            raise _too_large(most)
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(STALL_S) as patience:
                held = self._held = self._room.begin(tenant_id, patience)
                began = clock()
                chunks: list[bytes] = []
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the body ended early", "Send the request again, whole.")
                    chunk: bytes = message.get("body", b"")
                    if held.size + len(chunk) > most:
                        raise _too_large(most)
                    held.take(len(chunk))
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
                    slowest = STALL_S + min(clock(), began + held.size / LEAST_BYTES_PER_S)
                    patience.reschedule(min(slowest, began + DEADLINE_S))
        except TimeoutError:
            raise no_room() if self._held is not None and self._held.cut_off else _too_slow() from None
        held.all_there()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_slow() -> RefusedError:
    return RefusedError(
        400,
        f"nothing of the body came for {STALL_S:.0f} s, less than {LEAST_BYTES_PER_S} bytes a second, or not all of it "
        f"within {DEADLINE_S:.0f} s",
        "Send the request again, whole: over a faster connection, or in smaller parts.",
    )


def _too_large(most: int) -> RefusedError:
    hint = "Send less in one event." if most == MAX_EVENT_BYTES else "Send fewer events in one request."
    return RefusedError(413, f"the body is larger than {most} bytes", hint)

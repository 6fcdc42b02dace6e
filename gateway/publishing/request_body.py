"""Reading a request's body piece by piece, and never more of it than is allowed."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from axonstream.event_contract import MAX_EVENT_BYTES
from gateway.errors import RefusedError

MAX_BULK_BYTES = 32 << 20
STALL_S = 10.0
LEAST_BYTES_PER_S = 16 << 10  # from then on: a body of which one byte comes now and then is none


class RequestBody:
    """The body of one request; `at_hand` is all of it where it has come already, `client` who sends it: host, port."""

    __slots__ = ("_at_hand", "_headers", "_receive", "client")

    def __init__(
        self,
        headers: dict[bytes, bytes],
        receive: Receive,
        at_hand: bytes | None = None,
        client: tuple[str, int] | None = None,
    ) -> None:
        self.client = client
        self._headers = headers
        self._receive = receive
        self._at_hand = at_hand

    async def read(self, most: int) -> bytes:
        """The whole body, of at most `most` bytes.

        Raises RefusedError 413 as soon as it is known to be longer, and 400 when the sender goes away before its end,
        or sends too slowly.
        """
        if self._at_hand is None:
            return await _received(self._headers, self._receive, most)
        if len(self._at_hand) > most:
            raise _too_large(most)
        return self._at_hand


async def _received(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    if int(headers.get(b"content-length", b"0")) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(STALL_S) as stall:
            began = asyncio.get_running_loop().time()
            chunks: list[bytes] = []
            size = 0
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "the body ended early", "Send the request again, whole.")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return chunk if len(chunks) == 1 else b"".join(chunks)
                now = asyncio.get_running_loop().time()
                stall.reschedule(STALL_S + min(now, began + size / LEAST_BYTES_PER_S))
    except TimeoutError:
        hint = "Send the request again, whole, over a faster connection."
        message = f"nothing of the body came for {STALL_S:.0f} s, or less than {LEAST_BYTES_PER_S} bytes a second"
        raise RefusedError(400, message, hint) from None


def _too_large(most: int) -> RefusedError:
    hint = "Send less in one event." if most == MAX_EVENT_BYTES else "Send fewer events in one request."
    return RefusedError(413, f"the body is larger than {most} bytes", hint)

"""Reading a request's body piece by piece, and never more of it than is allowed."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from axonstream.event_contract import MAX_EVENT_BYTES
from gateway.errors import RefusedError

MAX_BULK_BYTES = 32 << 20
STALL_S = 10.0


async def read_body(request: Request, most: int) -> bytes:
    """The whole body, of at most `most` bytes.

    Raises RefusedError 413 as soon as it is known to be longer, and 400 when the sender goes away before its end.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-length" and int(value) > most:
            raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(STALL_S) as stall:
            async for chunk in request.stream():
                stall.reschedule(asyncio.get_running_loop().time() + STALL_S)
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                chunks.append(chunk)
    except ClientDisconnect:
        raise RefusedError(400, "the body ended early", "Send the request again, whole.") from None
    except TimeoutError:
        hint = "Send the request again, whole, over a faster connection."
        raise RefusedError(400, f"nothing of the body came for {STALL_S:.0f} s", hint) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(most: int) -> RefusedError:
    hint = "Send less in one event." if most == MAX_EVENT_BYTES else "Send fewer events in one request."
    return RefusedError(413, f"the body is larger than {most} bytes", hint)

"""Reading a request's body piece by piece, and never more of it than is allowed."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from axonstream.event_contract import MAX_EVENT_BYTES
from gateway.errors import RefusedError

MAX_BULK_BYTES = 32 << 20


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
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            chunks.append(chunk)
    except ClientDisconnect:
        raise RefusedError(400, "the body ended early", "Send the request again, whole.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(most: int) -> RefusedError:
    hint = "Send less in one event." if most == MAX_EVENT_BYTES else "Send fewer events in one request."
    return RefusedError(413, f"the body is larger than {most} bytes", hint)

"""Content-Encoding: gzip, unpacked piece by piece: never more than is allowed, and with turns for other requests."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from axonstream.gateway.http.errors import RefusedError

_PIECE_IN = 64 << 10
_PIECE_OUT = 256 << 10  # about 1 ms
_MOST_MEMBERS = 1000
_GZIP = 16 + zlib.MAX_WBITS  # with gzip's header and checksum: https://docs.python.org/3/library/zlib.html
_HINT = "Compress the body once, as a whole (RFC 1952), or send it as it is without Content-Encoding."


def is_gzip(encoding: bytes) -> bool:
    """Whether a body of this Content-Encoding has to be unpacked. Raises RefusedError 415 for one that cannot be."""
    name = encoding.strip().lower()
    if name in (b"gzip", b"x-gzip"):
        return True
    if name in (b"", b"identity"):
        return False
    raise RefusedError(
        415, "this Content-Encoding is not taken here", "Send the body with Content-Encoding: gzip, or without any."
    )


async def unpacked(packed: bytes, most: int, take: Callable[[int], None]) -> bytes:
    """The content, of one gzip member or several. `take` is told of each piece before it is kept.

    Raises RefusedError: 413 as soon as there is more than `most`, of which nothing more is unpacked; 400 for what is
    not gzip, ends too early, has something behind its end or more than 1,000 members.
    """
    pieces: list[bytes] = []
    size = at = members = 0
    while at < len(packed):
        members += 1
        if members > _MOST_MEMBERS:
            raise _not_gzip(f"it has more than {_MOST_MEMBERS} members")
        member = zlib.decompressobj(wbits=_GZIP)
        unread = b""
        while not member.eof:
            if not unread:
                unread = packed[at : at + _PIECE_IN]
                at += len(unread)
            try:
                piece = member.decompress(unread, _PIECE_OUT)
            except zlib.error:
                raise _not_gzip("it is damaged, or something follows its end") from None
            if not unread and not piece:
                raise _not_gzip("it ends too early")
            unread = member.unconsumed_tail
            size += len(piece)
            if size > most:
                raise RefusedError(
                    413, f"the body is larger than {most} bytes when it is unpacked", "Send less in one request."
                )
            take(len(piece))
            pieces.append(piece)
            await asyncio.sleep(0)
        at -= len(member.unused_data)
    return b"".join(pieces)


def _not_gzip(reason: str) -> RefusedError:
    return RefusedError(400, f"the body is not gzip as its Content-Encoding says: {reason}", _HINT)

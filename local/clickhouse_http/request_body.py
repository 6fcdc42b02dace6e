"""The body of a request: read whole before the engine starts, decompressed, and bounded.

Whole, because a peer that stalls in the middle of a body would hold an INSERT open, and KILL ... SYNC would hang on it;
and because a body that turns out cut or broken must not have inserted half of its rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import BadHttpMessage

from axonstream.clickhouse.codes import CANNOT_READ_ALL_DATA, MEMORY_LIMIT_EXCEEDED, SOCKET_TIMEOUT
from axonstream.local.clickhouse_http.clickhouse_error import QUERY_IS_TOO_LARGE, ClickHouseError
from axonstream.local.clickhouse_http.wire_format import decompress

MAX_BODY_BYTES = 256 << 20  # of one body, compressed and decompressed
MAX_BODIES_BYTES = 768 << 20  # of all bodies in memory at a time
STALLED_S = 30.0
_DECOMPRESS_INLINE_BYTES = 32 << 10


class BodyMemory:
    """The memory that all bodies share. A body that does not fit is refused, not queued: waiting could deadlock."""

    def __init__(self, max_bytes: int = MAX_BODIES_BYTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.max_bytes = max_bytes
        self.max_body_bytes = max_body_bytes
        self.used = 0

    @contextmanager
    def lease(self) -> Generator[BodyLease]:
        """Memory for one request, all of it given back at the end."""
        lease = BodyLease(self)
        try:
            yield lease
        finally:
            self.used -= lease.held


class BodyLease:
    """One request's part of a BodyMemory."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.held = 0

    @property
    def max_body_bytes(self) -> int:
        return self._memory.max_body_bytes

    def take(self, size: int) -> None:
        """Count `size` more bytes. Raises ClickHouseError when all bodies together hold too much."""
        if self._memory.used + size > self._memory.max_bytes:
            raise ClickHouseError(
                MEMORY_LIMIT_EXCEEDED,
                f"Request bodies would hold more than {self._memory.max_bytes} bytes: try again, or send smaller ones.",
                "MEMORY_LIMIT_EXCEEDED",
            )
        self._memory.used += size
        self.held += size


async def read_body(request: web.Request, lease: BodyLease) -> bytes:
    """The decompressed body. Raises ClickHouseError: too large (413), no memory (503), stalled (408), broken (400)."""
    limit = lease.max_body_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = await asyncio.wait_for(request.content.readany(), STALLED_S)
        except TimeoutError as error:
            raise ClickHouseError(SOCKET_TIMEOUT, f"No data for {STALLED_S} s.", "SOCKET_TIMEOUT") from error
        except (ConnectionError, web.RequestPayloadError, ClientPayloadError, BadHttpMessage) as error:
            raise ClickHouseError(CANNOT_READ_ALL_DATA, f"The body is cut: {error}.", "CANNOT_READ_ALL_DATA") from error
        if not chunk:
            break
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        lease.take(len(chunk))
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if len(body) <= _DECOMPRESS_INLINE_BYTES:
        plain = decompress(encoding, body, limit)
    else:
        plain = await asyncio.to_thread(decompress, encoding, body, limit)
    lease.take(len(plain))
    return plain


def _too_large(limit: int) -> ClickHouseError:
    return ClickHouseError(QUERY_IS_TOO_LARGE, f"The body is over {limit} bytes.", "QUERY_IS_TOO_LARGE")

"""What goes over the wire beside SQL: compressed bodies, content types, and the block that tells a late error."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

from backports import zstd
from lz4.frame import LZ4FrameDecompressor

from axonstream.clickhouse.codes import CANNOT_DECOMPRESS, NOT_IMPLEMENTED
from axonstream.local.clickhouse_http.clickhouse_error import QUERY_IS_TOO_LARGE, ClickHouseError

# Formats whose blocks, one after the other, are the whole answer. The others have a header or an end per answer.
STREAMABLE_FORMATS = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
CONTENT_TYPES = {
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "JSON": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
}
OTHER_CONTENT_TYPE = "text/plain; charset=UTF-8"
_PIECE_BYTES = 4 << 20


class _Frame(Protocol):
    """One compressed frame, decompressed piece by piece."""

    @property
    def eof(self) -> bool | None: ...
    @property
    def needs_input(self) -> bool | None: ...
    @property
    def unused_data(self) -> bytes | bytearray | None: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _ZlibFrame:
    """zlib's decompressor with the interface of the others: it hands unread input back instead of keeping it."""

    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._zlib.decompress(data or self._zlib.unconsumed_tail, max_length)


def _lz4() -> _Frame:
    return LZ4FrameDecompressor()


_FRAMES: dict[str, Callable[[], _Frame]] = {
    "lz4": _lz4,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: _ZlibFrame(zlib.MAX_WBITS | 16),
    "deflate": lambda: _ZlibFrame(zlib.MAX_WBITS),
}
_BROKEN = (RuntimeError, EOFError, zlib.error, zstd.ZstdError)


def decompress(encoding: str, data: bytes, max_bytes: int) -> bytes:
    """The bytes of every frame in `data`, one after the other; never holds more than `max_bytes` and one piece.

    Every frame counts: clickhouse-connect sends one LZ4 frame per 8192 rows, and `lz4.frame.decompress` stops after
    the first. Raises ClickHouseError: unknown encoding, broken or cut data, more than `max_bytes`.
    """
    if encoding not in _FRAMES:
        raise ClickHouseError(NOT_IMPLEMENTED, f"Unknown compression method '{encoding}'.", "NOT_IMPLEMENTED")
    pieces: list[bytes] = []
    size = 0
    try:
        while data:
            frame = _FRAMES[encoding]()
            while not frame.eof:
                pieces.append(frame.decompress(data, _PIECE_BYTES))
                size += len(pieces[-1])
                if size > max_bytes:
                    raise ClickHouseError(
                        QUERY_IS_TOO_LARGE, f"The decompressed body is over {max_bytes} bytes.", "QUERY_IS_TOO_LARGE"
                    )
                data = b""
                if not frame.eof and frame.needs_input and not pieces[-1]:
                    raise ClickHouseError(CANNOT_DECOMPRESS, f"The {encoding} body is cut.", "CANNOT_DECOMPRESS")
            data = bytes(frame.unused_data or b"")
    except _BROKEN as error:
        raise ClickHouseError(
            CANNOT_DECOMPRESS, f"The {encoding} body is broken: {error}.", "CANNOT_DECOMPRESS"
        ) from error
    return b"".join(pieces)


def exception_block(tag: str, text: str) -> bytes:
    """A late error inside a body that began as 200: clients find it by the tag of X-ClickHouse-Exception-Tag."""
    told = text.encode()
    return b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (
        tag.encode(), told, len(told) + 1, tag.encode()
    )  # fmt: skip

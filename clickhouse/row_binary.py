"""ClickHouse's format RowBinary, as far as dead letters need it: their key and value may be bytes that are no JSON.

https://clickhouse.com/docs/interfaces/formats/RowBinary

clickhouse-connect's own insert imports pandas when it is first called, where that is installed: half a second in which
no heartbeat is sent.
"""

from __future__ import annotations

import struct

uint32 = struct.Struct("<I").pack
int64 = struct.Struct("<q").pack  # also DateTime64(3): whole milliseconds


def string(data: bytes) -> bytes:
    """A String, or LowCardinality(String): its length as a LEB128 number, then its bytes."""
    length, left = bytearray(), len(data)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    return bytes(length) + data

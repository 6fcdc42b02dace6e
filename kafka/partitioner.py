"""The partition of a trace: murmur2 of its key, as every Kafka client chooses it, so that all publishers agree.

https://github.com/apache/kafka/blob/3.7.0/clients/src/main/java/org/apache/kafka/common/utils/Utils.java (murmur2)
"""

from __future__ import annotations

from functools import cache, lru_cache
from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_REMEMBERED_TRACES = 16_384  # agents publish many events of a trace within a short time


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key`, from 0 up to `partitions`."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


@cache
def _words_of(count: int) -> Struct:
    return Struct(f"<{count}I")


@lru_cache(maxsize=_REMEMBERED_TRACES)
def _murmur2(key: bytes) -> int:
    size = len(key)
    whole = size & ~3
    h = _SEED ^ size
    for word in _words_of(size >> 2).unpack_from(key):
        k = word * _M & _32_BITS
        h = h * _M & _32_BITS ^ ((k ^ k >> 24) * _M & _32_BITS)
    if whole < size:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _32_BITS
    h = (h ^ h >> 13) * _M & _32_BITS
    return h ^ h >> 15

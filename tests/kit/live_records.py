"""Records of agent-events as a consumer hands them on, made by hand."""

from __future__ import annotations

from typing import NamedTuple


class LiveRecord(NamedTuple):
    """What live streams look at."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp: int = 1900000000123

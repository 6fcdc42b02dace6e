"""Where the random ids of the SDK come from: of traces, spans and dedup keys. A test can have them counted."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count

_Counters = defaultdict[int, "count[int]"]

_counters: _Counters | None = None  # of the whole process: threads of the code under test draw from it, too


def random_hex(digits: int) -> str:
    """So many random hex digits (4 bits each)."""
    if _counters is None:
        return secrets.token_hex(digits // 2)
    return f"{next(_counters[digits]):0{digits}x}"


@contextmanager
def counted_ids() -> Generator[None]:
    """Within the block ids count up from 1, in the whole process: `tr_0000000000000001`. For tests alone."""
    global _counters  # noqa: PLW0603  of the process, as ids are
    before, _counters = _counters, defaultdict(lambda: count(1))
    try:
        yield
    finally:
        _counters = before

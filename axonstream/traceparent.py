"""The W3C header `traceparent`: which trace and which span of an OpenTelemetry context a request came from.

https://www.w3.org/TR/trace-context/#traceparent-header, versions 00 to fe; of a later version than 00 only the fields
that 00 has are read, as the recommendation asks.

    if parent := read_traceparent(request.headers.get("traceparent", "")):
        with trace_scope(parent.trace_id):
            ...
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FIELDS = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.DOTALL
)


class Traceparent(NamedTuple):
    """The ids are the header's hex digits as they stand there: what other tools of the same context show and search."""

    trace_id: str
    span_id: str


def read_traceparent(header: str) -> Traceparent | None:
    """The ids of the header, or None for one that is not valid, which W3C asks to ignore. Never raises."""
    fields = _FIELDS.fullmatch(header.strip(" \t"))
    if fields is None or (fields[1] == "00" and fields[4] is not None):
        return None
    return Traceparent(fields[2], fields[3])

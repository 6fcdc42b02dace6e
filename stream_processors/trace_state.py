"""The state of a trace: plain values, and their form in the changelog. No Kafka, no clock."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from axonstream.event_contract import MAX_ID
from stream_processors.errors import StateFormatError
from stream_processors.remembered_ids import RememberedIds

FORMAT = 1
LIST_CAP = 64
FENCE_HEADER = "last_offset"


class FirstError(NamedTuple):
    """The agent.error that comes first by (occurred_at, offset)."""

    occurred_at: int
    event_id: int
    step: int  # this event's place among the trace's events by (occurred_at, offset), from 1
    span_id: str
    identifier: str
    agent_id: str


@dataclass(slots=True)
class TraceState:
    """Everything known of one segment of a trace; times are ms since 1970.

    `last_offset` is the fence (I1). `exact` says that the counts are those of a recomputation from all events.
    `agents` and `event_types` are in the order of their first offset, at most LIST_CAP each.
    """

    first_offset: int
    last_offset: int
    first_at: int
    last_at: int
    last_received_at: int
    event_count: int = 0
    error_count: int = 0
    tool_call_count: int = 0
    handoff_count: int = 0
    exact: bool = True
    first_error: FirstError | None = None
    agents: list[str] = field(default_factory=list[str])
    event_types: list[str] = field(default_factory=list[str])
    ids: RememberedIds = field(default_factory=RememberedIds)


def changelog_records(key: bytes, state: TraceState) -> list[tuple[bytes, bytes]]:
    """What makes `state` survive a restart, pages of ids before the state that counts on them. Seals those pages."""
    pages = [(page_key(key, state.first_offset, number), page) for number, page in state.ids.seal()]
    return [*pages, (key, encode_state(state))]


def tombstone_records(key: bytes, state: TraceState) -> list[tuple[bytes, None, tuple[str, bytes]]]:
    """What takes `state` out of the changelog: a tombstone of it, and then of its pages, with its fence as header.

    The state goes first: a crash in between leaves at the worst pages that no state counts on, and not a state whose
    pages are gone.
    """
    fence = (FENCE_HEADER, b"%d" % state.last_offset)
    pages = (page_key(key, state.first_offset, number) for number in range(state.ids.sealed_pages))
    return [(key, None, fence), *((page, None, fence) for page in pages)]


def tombstone_fence(headers: Iterable[tuple[str, bytes]] | None) -> int:
    """The last offset of the state that a tombstone is of; one without a header is of any state."""
    return int(dict(headers or ()).get(FENCE_HEADER, MAX_ID))


def page_key(key: bytes, first_offset: int, number: int) -> bytes:
    """A second NUL tells a page from a state: tenant and trace hold none."""
    return b"%b\x00%d.%d" % (key, first_offset, number)


def is_page_key(key: bytes) -> bool:
    return key.count(b"\x00") == 2


def encode_state(state: TraceState) -> bytes:
    """One JSON array; its item 0 is the fence, so that the older of two can be told without reading on."""
    return orjson.dumps(
        [
            state.last_offset,
            FORMAT,
            state.first_offset,
            state.first_at,
            state.last_at,
            state.last_received_at,
            state.event_count,
            state.error_count,
            state.tool_call_count,
            state.handoff_count,
            state.exact,
            state.first_error and list(state.first_error),
            state.agents,
            state.event_types,
            state.ids.sealed_pages,
            state.ids.complete,
            b64encode(state.ids.tail()).decode(),
        ]
    )


def decode_state(key: bytes, values: list[Any], pages: Mapping[bytes, bytes]) -> TraceState:
    """The state of `values` as parsed from JSON; `pages` holds the sealed pages, which the changelog has before it.

    Should a page be missing after all, ids are forgotten, and the state says so. Raises StateFormatError for another
    format.
    """
    if values[1] != FORMAT:
        raise StateFormatError(f"changelog state of format {values[1]}; this processor reads format {FORMAT}")
    first_offset, first_error, (sealed, complete, tail) = values[2], values[11], values[14:17]
    packed = b64decode(tail)
    if complete and sealed:
        found = [pages.get(page_key(key, first_offset, number)) for number in range(sealed)]
        complete = None not in found
        packed = b"".join(page for page in found if page) + packed if complete else packed
    return TraceState(
        last_offset=values[0],
        first_offset=first_offset,
        first_at=values[3],
        last_at=values[4],
        last_received_at=values[5],
        event_count=values[6],
        error_count=values[7],
        tool_call_count=values[8],
        handoff_count=values[9],
        exact=values[10] and complete,
        first_error=FirstError(*first_error) if first_error else None,
        agents=values[12],
        event_types=values[13],
        ids=RememberedIds(packed, sealed_pages=sealed, complete=complete),
    )

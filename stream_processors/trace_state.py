"""The state of a trace: plain values, and their packed form, which memory and changelog have in common.

No Kafka, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

import orjson

from axonstream.event_contract import MAX_ID
from axonstream.steps import StepBook, has_step_events
from axonstream.stream_processors.errors import StateFormatError
from axonstream.stream_processors.name_list import NO_NAMES, names_json
from axonstream.stream_processors.packed_steps import NO_STEPS, pack_book, unpack_book
from axonstream.stream_processors.remembered_ids import RememberedIds
from axonstream.summary_counters import COUNTERS, OLDEST, lacks_counts

_OLDEST_FORMAT = 2  # which has the oldest counters, and no steps
_FIRST_WITH_STEPS = 3  # each counter after the oldest makes the next format
FORMAT = _FIRST_WITH_STEPS + len(COUNTERS) - OLDEST
FORMAT_AT = 8
LIST_CAP = 64
FENCE_HEADER = "last_offset"

# last_offset, which is the fence; format; flags; first_offset; first_at, last_at, last_received_at; events; counters;
# sealed pages; the bytes of agents, event types, first error and steps, which follow, and then the ids
_LAYOUTS = {_OLDEST_FORMAT: Struct(f">QBB5Q{OLDEST}QHHHH")} | {
    _FIRST_WITH_STEPS + later: Struct(f">QBB5Q{OLDEST + later}QHHHHI") for later in range(len(COUNTERS) - OLDEST + 1)
}
_FIXED = _LAYOUTS[FORMAT]
_pack = _FIXED.pack
_FORMATS = frozenset(bytes([number]) for number in _LAYOUTS)
_ERROR = Struct(">QQQ")  # occurred_at, event_id, step; then its three names, a NUL between them
_ERROR_WITH_STEPS = Struct(">QQQQ")  # the same, and the event with its step's input; then its type as well
_FIRST_OFFSET_AT = FORMAT_AT + 2
_EXACT, _COMPLETE, _LAST_FAILED = 1, 2, 4


class FirstError(NamedTuple):
    """The agent.error that comes first by (occurred_at, offset)."""

    occurred_at: int
    event_id: int
    step: int  # this event's place among the trace's events by (occurred_at, offset), from 1
    span_id: str
    identifier: str
    agent_id: str
    error_type: str = ""
    input_event_id: int = 0  # the event that began the step which it marks; 0 where that is not known


@dataclass(slots=True)
class TraceState:
    """Everything known of one segment of a trace; times are ms since 1970.

    `last_offset` is the fence (I1). `counts` is in the order of COUNTERS. `exact` says that the counts
    are those of a recomputation from all events.
    `agents` and `event_types` are lists of names (see name_list), at most LIST_CAP each.
    """

    first_offset: int
    last_offset: int
    first_at: int
    last_at: int
    last_received_at: int
    event_count: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTERS))
    exact: bool = True
    first_error: FirstError | None = None
    agents: bytes = NO_NAMES
    event_types: bytes = NO_NAMES
    last_failed: bool = False  # the last event by (occurred_at, offset) is an agent.error
    book: StepBook | bytes = NO_STEPS  # packed until somebody asks for `steps`
    ids: RememberedIds = field(default_factory=RememberedIds)

    @property
    def steps(self) -> StepBook:
        """What is remembered of its steps."""
        if isinstance(self.book, bytes):
            self.book = unpack_book(self.book)
        return self.book


def changelog_records(key: bytes, state: TraceState) -> list[tuple[bytes, bytes]]:
    """What makes `state` survive a restart, pages of ids before the state that counts on them. Seals those pages."""
    sealed = state.ids.seal()
    records = [(key, pack_state(state))]
    if sealed:
        records[:0] = [(page_key(key, state.first_offset, number), page) for number, page in sealed]
    return records


def tombstone_records(key: bytes, state: TraceState) -> list[tuple[bytes, None, tuple[str, bytes]]]:
    """What takes `state` out of the changelog: a tombstone of it, and then of its pages, with its fence as header.

    The state goes first: a crash in between leaves at the worst pages that no state counts on, and not a state whose
    pages are gone.
    """
    fence = (FENCE_HEADER, b"%d" % state.last_offset)
    pages = page_keys(key, state.first_offset, state.ids.sealed_pages)
    return [(key, None, fence), *((page, None, fence) for page in pages)]


def tombstone_fence(headers: Iterable[tuple[str, bytes]] | None) -> int:
    """The last offset of the state that a tombstone is of; one without a header is of any state."""
    return int(dict(headers or ()).get(FENCE_HEADER, MAX_ID))


def page_key(key: bytes, first_offset: int, number: int) -> bytes:
    """A second NUL tells a page from a state: tenant and trace hold none."""
    return b"%b\x00%d.%d" % (key, first_offset, number)


def page_keys(key: bytes, first_offset: int, sealed_pages: int) -> list[bytes]:
    """The keys of all pages of a state."""
    return [page_key(key, first_offset, number) for number in range(sealed_pages)]


def is_page_key(key: bytes) -> bool:
    return key.count(b"\x00") == 2


def state_key_of(page: bytes) -> bytes:
    """The key of the state that a page belongs to."""
    return page.rpartition(b"\x00")[0]


def packed_fence(packed: bytes) -> int:
    """The `last_offset` of a packed state, so that the older of two can be told without reading on."""
    return int.from_bytes(packed[:FORMAT_AT], "big")


def packed_begin(packed: bytes) -> int:
    """The `first_offset` of a packed state."""
    return int.from_bytes(packed[_FIRST_OFFSET_AT : _FIRST_OFFSET_AT + 8], "big")


def format_error(packed: bytes) -> StateFormatError | None:
    """What is wrong with a state of another format; the first one was a JSON array."""
    if packed[FORMAT_AT : FORMAT_AT + 1] in _FORMATS:
        return None
    return StateFormatError(
        f"the changelog holds a state of another format; this processor reads format {FORMAT}. To have it fold again "
        "what Kafka has, run `axonstream rebuild-summaries`"
    )


def pack_state(state: TraceState) -> bytes:
    """All of `state` but for its sealed pages."""
    ids, error, agents, event_types = state.ids, b"", state.agents, state.event_types
    if state.first_error is not None:
        at, event_id, step, *names, input_event_id = state.first_error
        error = _ERROR_WITH_STEPS.pack(at, event_id, step, input_event_id) + "\x00".join(names).encode()
    steps = state.book if isinstance(state.book, bytes) else pack_book(state.book)
    fixed = _pack(
        state.last_offset,
        FORMAT,
        state.exact * _EXACT + ids.complete * _COMPLETE + state.last_failed * _LAST_FAILED,
        state.first_offset,
        state.first_at,
        state.last_at,
        state.last_received_at,
        state.event_count,
        *state.counts,
        ids.sealed_pages,
        len(agents),
        len(event_types),
        len(error),
        len(steps),
    )
    return b"".join((fixed, agents, event_types, error, steps, ids.tail))


def unpack_state(key: bytes, packed: bytes, pages: Mapping[bytes, bytes]) -> TraceState:
    """The state of `key`; `pages` holds its sealed pages. Should one be missing after all, ids are forgotten, and the
    state says so.
    """
    layout = _LAYOUTS[packed[FORMAT_AT]]
    has_steps = packed[FORMAT_AT] >= _FIRST_WITH_STEPS
    fixed = layout.unpack_from(packed)
    *fixed, steps_size = fixed if has_steps else (*fixed, 0)
    (
        last_offset,
        _,
        flags,
        first_offset,
        first_at,
        last_at,
        received_at,
        events,
        *counts,
        sealed,
        agents_size,
        types_size,
        error_size,
    ) = fixed
    agents_end = layout.size + agents_size
    types_end = agents_end + types_size
    error_end = types_end + error_size
    steps_end = error_end + steps_size
    complete, own_pages = flags & _COMPLETE != 0, ()
    if sealed and complete:
        found = [pages.get(page) for page in page_keys(key, first_offset, sealed)]
        complete = None not in found
        own_pages = tuple(page for page in found if page) if complete else ()
    exact = flags & _EXACT != 0 and (complete or flags & _COMPLETE == 0)
    if layout is not _FIXED:  # of an earlier version
        event_types = orjson.loads(names_json(packed[agents_end:types_end]))
        exact = exact and not lacks_counts(len(counts), event_types) and (has_steps or not has_step_events(event_types))
        counts += [0] * (len(COUNTERS) - len(counts))
    return TraceState(
        first_offset,
        last_offset,
        first_at,
        last_at,
        received_at,
        events,
        counts,
        exact,
        _first_error(packed[types_end:error_end], has_steps=has_steps) if error_size else None,
        packed[layout.size : agents_end],
        packed[agents_end:types_end],
        flags & _LAST_FAILED != 0,
        packed[error_end:steps_end],
        RememberedIds(packed[steps_end:], own_pages, sealed, complete),
    )


def _first_error(packed: bytes, *, has_steps: bool) -> FirstError:
    if not has_steps:
        at, event_id, step = _ERROR.unpack_from(packed)
        span_id, identifier, agent_id = packed[_ERROR.size :].decode().split("\x00")
        return FirstError(at, event_id, step, span_id, identifier, agent_id)
    at, event_id, step, input_event_id = _ERROR_WITH_STEPS.unpack_from(packed)
    span_id, identifier, agent_id, error_type = packed[_ERROR_WITH_STEPS.size :].decode().split("\x00")
    return FirstError(at, event_id, step, span_id, identifier, agent_id, error_type, input_event_id)

"""The trace that the running code belongs to, kept in contextvars.

The current trace is the same in functions that are called, in asyncio tasks spawned from the current one and in
threads that run in a copied context (`asyncio.to_thread` copies it; for a thread of your own,
`Thread(target=contextvars.copy_context().run, args=(work,))`). A task that makes a trace does not show it to its
parent or its siblings.

A thread that serves one request after the other keeps its context between them, and so would keep the trace.
There, and wherever a run has a beginning and an end, wrap it: `with trace_scope() as trace: ...`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from threading import Lock

from axonstream.errors import ValidationError

_HEX_ID = re.compile(r"tr_([0-9a-f]{16})[0-9a-f]*")


def new_trace_id() -> str:
    """`tr_` and 16 random hex digits (64 bits)."""
    return f"tr_{secrets.token_hex(8)}"


def span_prefix(trace_id: str) -> str:
    """`sp_` and 16 hex digits, the same in every service: those of the trace id, or else a hash of it."""
    if match := _HEX_ID.fullmatch(trace_id):
        return f"sp_{match[1]}"
    return f"sp_{blake2b(trace_id.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


class TraceContext:
    """One trace as one service sees it: its id, and the counter of its span ids. Thread safe."""

    __slots__ = ("_count", "_lock", "_prefix", "trace_id")

    def __init__(self, trace_id: str) -> None:
        if not trace_id:
            raise ValidationError("trace_id is empty", hint="Leave it out to have one made, or pass an id of your own.")
        self.trace_id = trace_id
        self._prefix = span_prefix(trace_id)
        self._count = 0
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"TraceContext({self.trace_id!r})"

    def next_span_id(self) -> str:
        """`sp_<16 hex of the trace>_0001`, `_0002`, ...: the order of events can be read from it.

        Counts within this context only: another service of the same trace starts at 0001 too. Past 9999 the number
        grows by a digit.
        """
        with self._lock:
            self._count += 1
            return f"{self._prefix}_{self._count:04d}"


_current: ContextVar[TraceContext | None] = ContextVar("axonstream_trace", default=None)


def current_trace() -> TraceContext | None:
    """The current trace, or None; never makes one."""
    return _current.get()


def get_or_create_trace(trace_id: str | None = None, *, new_id: Callable[[], str] = new_trace_id) -> TraceContext:
    """The current trace; where there is none, a new one, which becomes the current one.

    With an explicit `trace_id`: the current trace if it has this id, so that its span numbers go on, or else a
    context of that id, which becomes the current one.
    """
    trace = _for_id(trace_id) if trace_id is not None else _current.get() or TraceContext(new_id())
    _current.set(trace)
    return trace


@contextmanager
def trace_scope(trace_id: str | None = None, *, new_id: Callable[[], str] = new_trace_id) -> Generator[TraceContext]:
    """The block runs in a trace of its own, always a new one when no id is given; after it the trace is what it was."""
    before = _current.get()
    trace = TraceContext(new_id()) if trace_id is None else _for_id(trace_id)
    _current.set(trace)
    try:
        yield trace
    finally:
        _current.set(before)  # not reset(token): a generator may be closed in another context


def _for_id(trace_id: str) -> TraceContext:
    current = _current.get()
    return current if current is not None and current.trace_id == trace_id else TraceContext(trace_id)

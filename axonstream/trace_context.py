"""The trace that the running code belongs to, kept in contextvars.

The current trace is the same in functions that are called, in asyncio tasks spawned from the current one and in
threads that run in a copied context (`asyncio.to_thread` copies it; for a thread of your own,
`Thread(target=contextvars.copy_context().run, args=(work,))`). A task that makes a trace does not show it to its
parent or its siblings.

A thread that serves one request after the other keeps its context between them, and so keeps a trace that
`get_or_create_trace()` made. There, and wherever a run has a beginning and an end, wrap it: `with trace_scope() as
trace: ...`. Publishing makes no trace current: an event that names none, where none is current, is a trace of its own.

A generator runs in the context of its reader. A scope that is opened in one is seen by what the generator runs, not by
its reader between two values. What `contextlib.contextmanager` and pytest make of a generator hands its scope on, to
the block or the test that it is there for.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from itertools import count
from threading import get_ident
from types import FrameType
from typing import NamedTuple

from axonstream.errors import ValidationError
from axonstream.random_ids import random_hex

_HEX_ID = re.compile(r"tr_([0-9a-f]{16})[0-9a-f]*")
_HAND_ON = {"contextlib", "_pytest"}  # who runs a generator for the sake of the block at its yield

_forks = 0  # of which this process is the child


def _count_fork() -> None:
    global _forks  # noqa: PLW0603  of the process, as os.register_at_fork is
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


def new_trace_id() -> str:
    """`tr_` and 16 random hex digits (64 bits)."""
    return f"tr_{random_hex(16)}"


def new_span_digits() -> str:
    """16 random hex digits (64 bits)."""
    return random_hex(16)


class _Numbering(NamedTuple):
    """Whose span ids these are, and their counter; `next()` of it is one step, for threads too."""

    forks: int
    digits: str
    numbers: count[int]


class TraceContext:
    """One trace as one worker sees it: its id, and the counter of its span ids. Thread safe.

    It may be copied, pickled and taken along in a fork: the trace stays the same, and the span ids are others.
    `new_digits` gives the 16 hex digits that tell this context's span ids from those of all others.
    """

    __slots__ = ("_new_digits", "_numbering", "trace_id")

    def __init__(self, trace_id: str, *, new_digits: Callable[[], str] = new_span_digits) -> None:
        if not trace_id:
            raise ValidationError("trace_id is empty", hint="Leave it out to have one made, or pass an id of your own.")
        self.trace_id = trace_id
        self._new_digits = new_digits
        self._numbering = _Numbering(_forks, new_digits(), count(1))

    def __repr__(self) -> str:
        return f"TraceContext({self.trace_id!r})"

    def __reduce__(self) -> tuple[type[TraceContext], tuple[str]]:
        return TraceContext, (self.trace_id,)

    def next_span_id(self) -> str:
        """`sp_<16 hex of this context>_0001`, `_0002`, ...: the order of its events can be read from it.

        No other context of the trace gives out the same: not another worker's, task's, copy's or forked child's. The
        one that made the trace uses the digits of the trace id. Past 9999 the number grows by a digit.
        """
        numbering = self._numbering
        if numbering.forks != _forks:
            self._numbering = numbering = _Numbering(_forks, new_span_digits(), count(1))
        return f"sp_{numbering.digits}_{next(numbering.numbers):04d}"


class _Scope:
    """An open scope: where it was opened, and in the frame of which generator, if in one."""

    __slots__ = ("ended", "generator", "in_generator", "where")

    def __init__(self, generator: FrameType | None) -> None:
        self.generator = generator
        self.in_generator = generator is not None
        self.ended = False
        self.where = _here()


class _Current(NamedTuple):
    """The current trace, the scope that it was set in, and what is current outside of that scope."""

    trace: TraceContext
    scope: _Scope | None = None
    outer: _Current | None = None


_current: ContextVar[_Current | None] = ContextVar("axonstream_trace", default=None)


def current_trace() -> TraceContext | None:
    """The current trace, or None; never makes one."""
    here = _current.get()
    while here is not None and not _is_seen(here.scope):
        here = here.outer
    return None if here is None else here.trace


def trace_id_here() -> str:
    """The id of the current trace, or else a new one, which does not become current."""
    trace = current_trace()
    return new_trace_id() if trace is None else trace.trace_id


def get_or_create_trace(trace_id: str | None = None, *, new_id: Callable[[], str] = new_trace_id) -> TraceContext:
    """The current trace; where there is none, a new one, which becomes the current one.

    With an explicit `trace_id`: the current trace if it has this id, so that its span numbers go on, or else a
    context of that id, which becomes the current one.
    """
    current = current_trace()
    if current is not None and trace_id in (None, current.trace_id):
        return current
    trace = _made(new_id()) if trace_id is None else TraceContext(trace_id)
    _current.set(_with_current(_current.get(), trace))
    return trace


def trace_scope(
    trace_id: str | None = None, *, new_id: Callable[[], str] = new_trace_id
) -> AbstractContextManager[TraceContext]:
    """The block runs in a trace of its own, always a new one when no id is given; after it the trace is what it was."""
    return _in_scope(trace_id, new_id, _generator_of(sys._getframe(1)))  # pyright: ignore[reportPrivateUsage]


@contextmanager
def outside_of_traces() -> Generator[None]:
    """The block begins where no trace is current; after it the current trace is what it was. For tests."""
    before = _current.get()
    _current.set(None)
    try:
        yield
    finally:
        _current.set(before)


@contextmanager
def _in_scope(trace_id: str | None, new_id: Callable[[], str], generator: FrameType | None) -> Generator[TraceContext]:
    current = current_trace()
    if trace_id is None:
        trace = _made(new_id())
    else:
        trace = current if current is not None and current.trace_id == trace_id else TraceContext(trace_id)
    scope = _Scope(generator)
    _current.set(_Current(trace, scope, _current.get()))
    try:
        yield trace
    finally:
        scope.ended, scope.generator = True, None
        _leave(scope)


def _made(trace_id: str) -> TraceContext:
    """A trace that nobody else knows yet: its span ids have its own digits."""
    match = _HEX_ID.fullmatch(trace_id)
    return TraceContext(trace_id, new_digits=lambda: match[1]) if match else TraceContext(trace_id)


def _leave(scope: _Scope) -> None:
    """Not reset(token): a generator may be closed in another context, and those of one reader end in any order."""
    here = _current.get()
    if here is None or here.scope is not scope:
        return
    here = here.outer
    while here is not None and here.scope is not None and here.scope.ended and here.scope.where == scope.where:
        here = here.outer
    _current.set(here)


def _with_current(here: _Current | None, trace: TraceContext) -> _Current:
    """`trace` in the place of what is seen here, below what generators have open; it ends with the scope around it."""
    if here is None:
        return _Current(trace)
    if _is_seen(here.scope):
        return _Current(trace, here.scope, here.outer)
    return _Current(here.trace, here.scope, _with_current(here.outer, trace))


def _is_seen(scope: _Scope | None) -> bool:
    """Whether the running code is in the scope: what another generator has open in this very thread or task is not."""
    if scope is None or not scope.in_generator or scope.where != _here():
        return True
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame is not scope.generator:
        frame = frame.f_back
    return frame is not None


def _generator_of(frame: FrameType) -> FrameType | None:
    """The frame itself if it is a generator's, or that of the generator that it hands its scope on to."""
    while frame.f_code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR):
        reader = frame.f_back
        if reader is None or not _hands_on(reader):
            return frame
        while reader is not None and _hands_on(reader):
            reader = reader.f_back
        if reader is None:
            return None
        frame = reader
    return None


def _hands_on(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _HAND_ON


def _here() -> tuple[int, int | None]:
    """The thread and the task that is running: another one has a context of its own, which may be a copy."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return get_ident(), None if task is None else id(task)

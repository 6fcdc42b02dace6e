"""How the events of a trace become its steps: the one place where an end finds its start. Pure: no clock, no I/O.

A step has a start and an end: a run of an agent, a tool call, an LLM call, or any span. `StepBook` is what is
remembered of a trace between its events. Events come in the order of their arrival, repeats left out, and the steps are
the same whoever folds them: the processor, a read that recomputes, `axonstream verify` and `axonstream steps rebuild`.

    an end         belongs to the open start of its kind and agent whose span is the end's own span, else its parent
                   span; where no span fits, to the latest open start of its kind, agent and name
    an early end   is kept, and taken by the start that it belongs to
    an agent.error marks the step that has its span, else its parent span, else the latest open step of its agent and
                   name; it closes the step only if no end follows
    durationMs     on any other event makes it a whole step, which ended when the event happened
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from operator import attrgetter
from typing import Any, Protocol, cast
from zlib import crc32

import orjson

from axonstream.event_fields import MAX_ID

MOST_OPEN = 256  # steps of one trace that are open, or whose start is missing
MOST_ATTEMPTS = 256  # kinds of step, by kind, agent and name, of which the attempts are counted
MAX_MESSAGE = 500  # characters of an error's message
MAX_TYPE = 64  # characters of an error's type that only its payload says
SKEW_MS = 5000  # by which the clocks of one agent may differ: its end may seem to be before its start
MOST_NAMES = 64  # models of a trace, and providers
UNKNOWN = -1
PICO = 12  # costs are whole numbers of 1e-12 USD

KINDS = ("agent", "tool", "llm", "span")
AGENT, TOOL, LLM, SPAN = range(len(KINDS))
STARTS = {"agent.start": AGENT, "agent.tool_call.start": TOOL, "agent.llm.start": LLM}
ENDS = {"agent.end": AGENT, "agent.tool_call.end": TOOL, "agent.llm.end": LLM}
ERROR = "agent.error"
STEP_TYPES = frozenset([*STARTS, *ENDS, ERROR])  # those that begin, end or mark a step
TEXTS = (
    "session_id",
    "user_id",
    "environment",
    "customer",
    "workflow",
    "service_name",
    "release",
    "model",
    "provider",
)
TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")


class StepEvent(Protocol):
    """What is read of an event; a text that is missing is "", a number None."""

    @property
    def event_id(self) -> int: ...
    @property
    def event_type(self) -> str: ...
    @property
    def identifier(self) -> str: ...
    @property
    def agent_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def parent_span_id(self) -> str: ...
    @property
    def occurred_at(self) -> int: ...
    @property
    def received_at(self) -> int: ...
    @property
    def payload(self) -> Any: ...
    @property
    def status(self) -> str: ...
    @property
    def error_type(self) -> str: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def cost_usd(self) -> Decimal | None: ...


class Status(IntEnum):
    """How a step stands. `ABANDONED`: it is open, and what it was part of has ended."""

    OPEN = 0
    OK = 1
    ERROR = 2
    ABANDONED = 3


class Priced(Protocol):
    """A cost, and the price that it comes from."""

    @property
    def picodollars(self) -> int: ...
    @property
    def price(self) -> str: ...


class Prices(Protocol):
    """What a model's tokens cost; None where there is no price."""

    def cost(
        self,
        model: str,
        at_ms: int,
        input_tokens: int | None,
        output_tokens: int | None,
        cached_input_tokens: int | None,
        reasoning_tokens: int | None,
    ) -> Priced | None: ...


class NoPrices:
    """Nobody has set a price."""

    def cost(
        self,
        model: str,  # noqa: ARG002
        at_ms: int,  # noqa: ARG002
        input_tokens: int | None,  # noqa: ARG002
        output_tokens: int | None,  # noqa: ARG002
        cached_input_tokens: int | None,  # noqa: ARG002
        reasoning_tokens: int | None,  # noqa: ARG002
    ) -> Priced | None:
        return None


NO_PRICES = NoPrices()


@dataclass(slots=True)
class Usage:
    """What an LLM call took; None where nobody said. `cost` is in 1e-12 USD, `price` where it was worked out."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: int | None = None
    price: str = ""

    @property
    def has_tokens(self) -> bool:
        return any(getattr(self, name) is not None for name in TOKENS)


@dataclass(slots=True)
class Step:
    """One step; times are ms since 1970, and UNKNOWN (-1) where nobody said.

    `offset` is that of its event that came first, and names it in its trace. `texts` are in the order of TEXTS: what
    its own events say. `version` and `shown` are of a step that has just changed, and are not remembered. `attempt`
    counts the steps of its kind, agent and name, from 1; 0 beyond the bound.
    """

    offset: int
    kind: int
    name: str
    agent_id: str
    span_id: str
    parent_span_id: str
    arrived_at: int
    started_at: int = UNKNOWN
    ended_at: int = UNKNOWN
    start_event_id: int = 0
    end_event_id: int = 0
    said: int = Status.OPEN  # what its end says; OPEN where it says nothing
    error_at: int = UNKNOWN
    error_event_id: int = 0
    error_type: str = ""
    error_message: str = ""
    abandoned: bool = False
    wraps: bool = False  # an LLM call that has LLM calls in it: theirs are counted
    depth: int = 0
    parent: int = UNKNOWN
    attempt: int = 0
    texts: tuple[str, ...] = ("",) * len(TEXTS)
    usage: Usage | None = None
    packed: bytes = field(default=b"", compare=False)  # as it was packed last, until it changes again
    version: int = UNKNOWN  # the offset of the event that changed it last
    shown: tuple[str, ...] = ("",) * len(TEXTS)  # `texts`, and what was known of the run then where they say nothing

    @property
    def has_ended(self) -> bool:
        return self.ended_at >= 0

    @property
    def status(self) -> Status:
        if self.said:
            return Status(self.said)
        if self.error_at >= 0:
            return Status.ERROR
        if self.has_ended:
            return Status.OK
        return Status.ABANDONED if self.abandoned else Status.OPEN

    @property
    def is_counted(self) -> bool:
        """Whether its tokens and cost are in those of its run: an LLM call that is over and has none in it."""
        return self.kind == LLM and not self.wraps and self.end_at >= 0

    @property
    def end_at(self) -> int:
        """When it ended: its error's time where no end came, UNKNOWN while it is open."""
        return self.ended_at if self.ended_at >= 0 else self.error_at

    @property
    def begun_at(self) -> int:
        """When it began, or its end where nobody said."""
        return self.started_at if self.started_at >= 0 else self.end_at

    @property
    def duration_ms(self) -> int | None:
        """None while it is open, or when its start is not known; 0 where its clocks say less."""
        if self.started_at < 0 or self.end_at < 0:
            return None
        return max(0, self.end_at - self.started_at)


@dataclass(slots=True)
class Root:
    """The step that a run is: without a parent, the earliest. `offset` names it."""

    offset: int
    started_at: int
    kind: int
    has_parent: bool
    name: str
    status: int = Status.OPEN
    ended_at: int = UNKNOWN

    @property
    def order(self) -> tuple[bool, int, int, int]:
        """A run of an agent says more of the whole than a span beside it, and a span more than a call."""
        rank = _RANKS.get(self.kind, len(_RANKS))
        return (self.has_parent, rank, self.started_at, self.offset)


@dataclass(slots=True)
class Slowest:
    """The step that took longest of those that ended."""

    duration_ms: int
    offset: int
    kind: int
    name: str
    agent_id: str


@dataclass(slots=True)
class StepBook:
    """What is remembered of a trace's steps.

    `open` are starts without an end, an error's mark or not; `early` are ends without a start; both in the order of
    arrival. `known` holds what the run is said to be, by its place in TEXTS: the value nearest to the root, the
    earliest breaking ties. `exact` turns False when a bound was reached: whoever has all events counts again.
    """

    open: list[Step] = field(default_factory=list[Step])
    early: list[Step] = field(default_factory=list[Step])
    attempts: dict[int, int] = field(default_factory=dict[int, int])
    closed: list[int] = field(default_factory=list[int])
    closed_spans: list[int] = field(default_factory=list[int])
    llm_parents: list[int] = field(default_factory=list[int])
    known: dict[int, tuple[bool, int, str]] = field(default_factory=dict[int, tuple[bool, int, str]])
    models: list[str] = field(default_factory=list[str])
    providers: list[str] = field(default_factory=list[str])
    root: Root | None = None
    slowest: Slowest | None = None
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKENS))
    cost: int = 0
    llm_calls: int = 0
    calls_with_tokens: int = 0
    priced_calls: int = 0
    unpriced_calls: int = 0
    tool_errors: int = 0
    exact: bool = True

    def fold(self, event: StepEvent, offset: int, prices: Prices, most: int = MOST_OPEN) -> Sequence[Step]:
        """Take one event that came at `offset`; the steps that it began, changed or ended: none for most events."""
        texts = texts_of(event)
        if texts is not NO_TEXTS:
            self._learn(event, texts)
        event_type = event.event_type
        changed: Sequence[Step] = ()
        if (kind := STARTS.get(event_type)) is not None:
            changed = self._start(event, offset, kind, texts, prices, most)
        elif (kind := ENDS.get(event_type)) is not None:
            changed = self._end(event, offset, kind, texts, prices, most)
        elif event_type == ERROR:
            changed = self._error(event, texts, prices)
        elif event.duration_ms is not None:
            changed = self._whole(event, offset, texts, prices)
        for step in changed:
            step.version = offset
            step.packed = b""
            step.shown = self._shown(step.texts)
        return changed

    def _shown(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not self.known:
            return texts
        shown = list(texts)
        for at, (_, _, text) in self.known.items():
            if at < _OF_CALL and not shown[at]:
                shown[at] = text
        return tuple(shown)

    def open_steps(self) -> list[Step]:
        """Those that may still go on."""
        return [step for step in self.open if step.status is Status.OPEN]

    def text(self, name: str) -> str:
        """What is known of the run, "" where nothing is."""
        found = self.known.get(TEXTS.index(name))
        return "" if found is None else found[2]

    # What each event does

    def _start(
        self, event: StepEvent, offset: int, kind: int, texts: tuple[str, ...], prices: Prices, most: int
    ) -> Sequence[Step]:
        span, agent = event.span_id, event.agent_id
        if span and self._begun_by(kind, agent, span):
            return ()  # the same start once more
        step = self._early_end_of(event, kind)
        if step is not None:
            self.early.remove(step)
            self._uncount(step)
            self._close(kind, agent, span, step.span_id)
        elif len(self.open) + len(self.early) >= most:
            self.exact = False
            return ()
        else:
            step = self._new(event, offset, kind)
            self.open.append(step)
            self.closed = [mark for mark in self.closed if mark != _mark(kind, agent, span)] if span else self.closed
        step.started_at, step.start_event_id = event.occurred_at, event.event_id
        step.span_id = span or step.span_id
        step.name = event.identifier
        step.parent_span_id = event.parent_span_id
        step.texts = _either(step.texts, texts)
        wrappers = self._place(step)
        self._take_usage(step, event, prices)
        self._count(step)
        return [step, *wrappers, *self._rooted(step)]

    def _end(
        self, event: StepEvent, offset: int, kind: int, texts: tuple[str, ...], prices: Prices, most: int
    ) -> Sequence[Step]:
        step = self._open_start_of(event, kind)
        if step is None:
            if event.span_id and (self._has_closed(event, kind) or self._is_early(event, kind)):
                return ()  # the same end once more
            if len(self.open) + len(self.early) >= most:
                self.exact = False
                return ()
            step = self._new(event, offset, kind)
            wrappers = self._place(step, is_early=True)
            self.early.append(step)
        else:
            wrappers = []
            self.open.remove(step)
            self._uncount(step)
            meant = step.span_id in (event.span_id, event.parent_span_id)
            self._close(kind, event.agent_id, event.span_id, step.span_id if meant else "")
        step.ended_at, step.end_event_id = event.occurred_at, event.event_id
        if step.started_at < 0 and event.duration_ms is not None:
            step.started_at = max(0, event.occurred_at - event.duration_ms)
        step.said = _SAID.get(event.status, Status.OPEN)
        if step.said == Status.ERROR and not step.error_event_id:
            step.error_type, step.error_message = error_of(event)
        step.texts = _either(texts, step.texts)
        self._take_usage(step, event, prices, is_start=False)
        self._count(step)
        return [step, *wrappers, *self._rooted(step)]

    def _whole(self, event: StepEvent, offset: int, texts: tuple[str, ...], prices: Prices) -> Sequence[Step]:
        step = self._new(event, offset, SPAN)
        self._place(step)
        step.start_event_id = step.end_event_id = event.event_id
        step.ended_at = event.occurred_at
        step.started_at = max(0, event.occurred_at - (event.duration_ms or 0))
        step.said = _SAID.get(event.status, Status.OPEN)
        if step.said == Status.ERROR:
            step.error_type, step.error_message = error_of(event)
        step.texts = texts
        self._take_usage(step, event, prices, is_start=False)
        self._close(SPAN, event.agent_id, event.span_id)
        self._count(step)
        return [step, *self._rooted(step)]

    def _error(self, event: StepEvent, texts: tuple[str, ...], prices: Prices) -> Sequence[Step]:
        step = self.marked_by(event)
        if step is None:
            return ()
        self._uncount(step)
        if step.error_at < 0:
            step.error_type, step.error_message = error_of(event)
            step.error_event_id = event.event_id
        step.error_at = max(step.error_at, event.occurred_at)
        step.texts = _either(step.texts, texts)
        self._take_usage(step, event, prices)
        self._count(step)
        return [step, *self._rooted(step)]

    # Which step an event belongs to

    def marked_by(self, event: StepEvent) -> Step | None:
        """The step that an agent.error is about, of those that have not ended, or whose start is missing."""
        for span in (event.span_id, event.parent_span_id):
            if not span:
                continue
            found = [step for step in (*self.open, *self.early) if step.span_id == span]
            if found:
                return next((step for step in reversed(found) if step.agent_id == event.agent_id), found[-1])
            if crc32(span.encode()) in self.closed_spans:
                return None  # it has ended, and stays as it is
        return next(
            (step for step in reversed(self.open) if step.agent_id == event.agent_id and step.name == event.identifier),
            None,
        )

    def _open_start_of(self, event: StepEvent, kind: int) -> Step | None:
        same = [step for step in self.open if step.kind == kind and step.agent_id == event.agent_id]
        if event.span_id:
            if found := [step for step in same if step.span_id == event.span_id]:
                return found[-1]
            if self._has_closed(event, kind):
                return None
        if event.parent_span_id and (found := [step for step in same if step.span_id == event.parent_span_id]):
            return next((step for step in reversed(found) if step.name == event.identifier), found[-1])
        named = [step for step in same if step.name == event.identifier]
        begun = [step for step in named if step.started_at <= event.occurred_at]
        if begun:
            return max(begun, key=lambda step: (step.started_at, step.offset))
        near = [step for step in named if step.started_at <= event.occurred_at + SKEW_MS]
        return min(near, key=lambda step: (step.started_at, step.offset), default=None)

    def _has_closed(self, event: StepEvent, kind: int) -> bool:
        return _mark(kind, event.agent_id, event.span_id) in self.closed

    def _is_early(self, event: StepEvent, kind: int) -> bool:
        return any(
            step.span_id == event.span_id and step.kind == kind and step.agent_id == event.agent_id
            for step in self.early
        )

    def _begun_by(self, kind: int, agent: str, span: str) -> bool:
        return any(step.span_id == span and step.kind == kind and step.agent_id == agent for step in self.open)

    def _early_end_of(self, event: StepEvent, kind: int) -> Step | None:
        same = [step for step in self.early if step.kind == kind and step.agent_id == event.agent_id]
        if span := event.span_id:
            found = [step for step in same if step.span_id == span] or [s for s in same if s.parent_span_id == span]
            if found:
                return found[0]
        named = [step for step in same if step.name == event.identifier]
        later = [step for step in named if step.ended_at >= event.occurred_at]
        if later:
            return min(later, key=lambda step: (step.ended_at, step.offset))
        near = [step for step in named if step.ended_at >= event.occurred_at - SKEW_MS]
        return max(near, key=lambda step: (step.ended_at, step.offset), default=None)

    # What follows from it

    def _new(self, event: StepEvent, offset: int, kind: int) -> Step:
        step = Step(
            offset, kind, event.identifier, event.agent_id, event.span_id, event.parent_span_id, event.received_at
        )
        mark = _mark(kind, event.agent_id, event.identifier)
        attempts = self.attempts
        if mark in attempts or len(attempts) < MOST_ATTEMPTS:
            step.attempt = attempts[mark] = min(attempts.get(mark, 0) + 1, _MOST_COUNTED)
        return step

    def _place(self, step: Step, *, is_early: bool = False) -> list[Step]:
        """Its parent among the steps that are open; the LLM calls that turn out to have it in them.

        What an end that is early calls its parent may be its own start.
        """
        parent: Step | None = None
        if step.parent_span_id:
            parent = next((s for s in reversed(self.open) if s.span_id == step.parent_span_id and s is not step), None)
        elif step.kind != AGENT:
            parent = next((s for s in reversed(self.open) if s.kind == AGENT and s.agent_id == step.agent_id), None)
        if parent is not None:
            step.parent, step.depth = parent.offset, min(parent.depth + 1, _MOST_DEPTH)
        wrappers: list[Step] = []
        if step.kind != LLM:
            return wrappers
        if step.span_id and crc32(step.span_id.encode()) in self.llm_parents:
            step.wraps = True
        while parent is not None:
            if parent.kind == LLM and not parent.wraps:
                self._uncount(parent)
                parent.wraps = True
                self._count(parent)
                wrappers.append(parent)
            parent = next((s for s in self.open if s.offset == parent.parent), None) if parent.parent >= 0 else None
        if step.parent < 0 and step.parent_span_id and not is_early:
            self.llm_parents = [*self.llm_parents, crc32(step.parent_span_id.encode())][-_MOST_REMEMBERED:]
        return wrappers

    def _close(self, kind: int, agent: str, *spans: str) -> None:
        """A step has ended; `spans` are its own, and that of its end."""
        for span in dict.fromkeys(spans):
            if span:
                self.closed = [*self.closed, _mark(kind, agent, span)][-_MOST_REMEMBERED:]
                self.closed_spans = [*self.closed_spans, crc32(span.encode())][-_MOST_REMEMBERED:]

    def _learn(self, event: StepEvent, texts: tuple[str, ...]) -> None:
        place = (event.parent_span_id != "", event.occurred_at)
        for at, text in enumerate(texts):
            if text and at < _OF_CALL and ((found := self.known.get(at)) is None or place < (found[0], found[1])):
                self.known[at] = (*place, text)

    def _take_usage(self, step: Step, event: Any, prices: Prices, *, is_start: bool = True) -> None:
        """What the event says of tokens and cost; an end's word stands above any other's."""
        tokens = [getattr(event, name) for name in TOKENS]
        cost = event.cost_usd
        if step.usage is None:
            if cost is None and all(number is None for number in tokens):
                return
            step.usage = Usage()
        usage = step.usage
        for name, number in zip(TOKENS, tokens, strict=True):
            if number is not None and (getattr(usage, name) is None or not is_start):
                setattr(usage, name, number)
        if usage.price:  # it was worked out with less
            usage.cost, usage.price = None, ""
        if cost is not None and (usage.cost is None or not is_start):
            usage.cost = int(cost.scaleb(PICO))
        model = step.texts[_MODEL]
        if usage.cost is None and step.kind == LLM and model and usage.has_tokens and step.end_at >= 0:
            priced = prices.cost(
                model,
                step.end_at,
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_input_tokens,
                usage.reasoning_tokens,
            )
            if priced is not None:
                usage.cost, usage.price = priced.picodollars, priced.price

    def _count(self, step: Step, by: int = 1) -> None:
        if step.kind == TOOL:
            if step.status is Status.ERROR:
                self.tool_errors += by
        elif step.kind == LLM and not step.wraps:
            self.llm_calls += by
            self._name(self.models, step.texts[_MODEL])
            self._name(self.providers, step.texts[_PROVIDER])
            usage = step.usage
            if usage is not None and step.is_counted:
                for at, name in enumerate(TOKENS):
                    self.tokens[at] += by * (getattr(usage, name) or 0)
                    if not 0 <= self.tokens[at] <= MAX_ID:  # millions of calls that took more than any can
                        self.tokens[at], self.exact = max(0, min(self.tokens[at], MAX_ID)), False
                if usage.has_tokens:
                    self.calls_with_tokens += by
                if usage.cost is not None:
                    self.cost += by * usage.cost
                    self.priced_calls += by
                elif usage.has_tokens:
                    self.unpriced_calls += by

    def _name(self, names: list[str], name: str) -> None:
        if name and name not in names:
            if len(names) < MOST_NAMES:
                names.append(name)
            else:
                self.exact = False

    def _uncount(self, step: Step) -> None:
        self._count(step, -1)

    def _rooted(self, step: Step) -> list[Step]:
        """What `step`, which has changed, says of the run; the other steps that are changed by it."""
        took = step.duration_ms if step.has_ended and (step.start_event_id or step.kind == SPAN) else None
        if took is not None and (self.slowest is None or took > self.slowest.duration_ms):
            self.slowest = Slowest(took, step.offset, step.kind, step.name, step.agent_id)
        if step.started_at < 0:
            return []
        root = self.root
        if root is None or root.offset != step.offset:
            own = Root(step.offset, step.started_at, step.kind, step.parent_span_id != "", step.name)
            if root is None or own.order < root.order:
                self.root = root = own
        if root.offset == step.offset:
            root.name, root.started_at = step.name, step.started_at
            root.has_parent, root.kind = step.parent_span_id != "", step.kind
            root.status, root.ended_at = step.status, step.end_at
            return self._give_up(root, self.open, step)
        return self._give_up(root, self.open if step.kind == AGENT else [step], step)

    def _give_up(self, root: Root, steps: Sequence[Step], but: Step) -> list[Step]:
        """Mark those of `steps` that can only have been given up, as the root has ended; those changed, beside `but`.

        A step that began after the root's end goes on, an agent's run without a parent as well, and what is inside a
        run of its agent that is open itself.
        """
        has_ended = root.kind in (AGENT, SPAN) and root.status in (Status.OK, Status.ERROR)
        if not has_ended and not any(step.abandoned for step in steps):
            return []
        at_work = {
            step.agent_id
            for step in self.open
            if step.kind == AGENT and step.error_at < 0 and not self._goes_with(root, step, has_ended=has_ended)
        }
        changed: list[Step] = []
        for step in steps:
            if step.has_ended or step.error_at >= 0:
                continue
            abandoned = self._goes_with(root, step, has_ended=has_ended)
            if step.kind != AGENT and step.agent_id in at_work:
                abandoned = False
            if abandoned != step.abandoned:
                step.abandoned = abandoned
                if step is not but:
                    changed.append(step)
        return changed

    @staticmethod
    def _goes_with(root: Root, step: Step, *, has_ended: bool) -> bool:
        """By itself, without a look at what it is inside of."""
        own_run = step.kind == AGENT and not step.parent_span_id
        return has_ended and step.started_at <= root.ended_at and not own_run


def usd(picodollars: int) -> str:
    """An amount in whole 1e-12 USD as a decimal."""
    whole, part = divmod(picodollars, 10**PICO)
    return f"{whole}.{part:012d}".rstrip("0").rstrip(".")


STATUSES = {status: status.name.lower() for status in Status}
_RANKS = {AGENT: 0, SPAN: 1}
_SAID = {"ok": Status.OK, "error": Status.ERROR}
_MODEL, _PROVIDER = TEXTS.index("model"), TEXTS.index("provider")
_OF_CALL = _MODEL  # from here on, TEXTS are of one LLM call and not of its run
_MOST_COUNTED = 65_535
_MOST_DEPTH = 255
_MOST_REMEMBERED = 16
NO_TEXTS = ("",) * len(TEXTS)
_texts = attrgetter(*TEXTS)


def texts_of(event: StepEvent) -> tuple[str, ...]:
    """What an event says of TEXTS; NO_TEXTS itself where that is nothing."""
    texts = _texts(event)
    return NO_TEXTS if texts == NO_TEXTS else texts


def has_step_events(event_types: Iterable[str]) -> bool:
    """Whether events of these types may begin, mark or end steps; any other may be a whole one."""
    return not STEP_TYPES.isdisjoint(event_types)


def _either(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    if second is NO_TEXTS or first == second:
        return first
    return tuple(one or other for one, other in zip(first, second, strict=True))


def _mark(kind: int, agent: str, text: str) -> int:
    return crc32(f"{kind}\x00{agent}\x00{text}".encode())


def error_of(event: StepEvent) -> tuple[str, str]:
    """Type and message of an error: what the event says, and else what its payload says."""
    payload = _object(event.payload)
    inner = payload.get("error")
    found = payload | cast("dict[str, Any]", inner) if isinstance(inner, dict) else payload
    return event.error_type or _first_text(found, _TYPES)[:MAX_TYPE], _first_text(found, _MESSAGES)


def _object(payload: Any) -> dict[str, Any]:
    """A payload as it stands in a record, in a row or in memory; {} where it is deeper than orjson goes."""
    if isinstance(payload, dict):
        return cast("dict[str, Any]", payload)
    try:
        return orjson.loads(payload if isinstance(payload, str) else bytes(payload))
    except orjson.JSONDecodeError:
        return {}


def _first_text(found: dict[str, Any], names: Sequence[str]) -> str:
    texts = [text for text in map(found.get, names) if isinstance(text, str) and text]
    return texts[0][:MAX_MESSAGE].replace("\x00", "") if texts else ""


_MESSAGES = ("message", "error", "error_message", "errorMessage", "exception", "reason")
_TYPES = ("type", "error_type", "errorType", "exception_type")

"""The tree of a trace: which event stands below which. Pure, and never recursive, so that any depth is fine.

Whose child an event is:
1. of the event that `parent_event_id` names, if the trace has it;
2. else of the event with the span id that `parent_span_id` names. Span ids repeat between the services of one trace,
   so the same agent is looked up first, then all; among several the nearest earlier one, else (clocks differ) the
   next later one. An end is only chosen when nothing else has that span id;
3. an end without a parent stands below the start whose span id it shares, within its agent;
4. anything else is a root. Of a cycle, the earliest event becomes a root.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class TracedEvent(Protocol):
    """What the tree asks of an event; an id that is missing is None or empty."""

    @property
    def event_id(self) -> object: ...
    @property
    def span_id(self) -> str | None: ...
    @property
    def parent_event_id(self) -> object: ...
    @property
    def parent_span_id(self) -> str | None: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def event_type(self) -> str: ...


E = TypeVar("E", bound=TracedEvent)


@dataclass(slots=True)
class Node(Generic[E]):
    """An event, its step (its place in time, from 1) and what stands below it, in order of time."""

    step: int
    event: E
    parent: Node[E] | None = None
    children: list[Node[E]] = field(default_factory=list["Node[E]"])


@dataclass(frozen=True, slots=True)
class Place(Generic[E]):
    """A node as it is drawn: how deep it stands, and whether it is the last child of its parent."""

    node: Node[E]
    depth: int
    is_last: bool


def build_tree(events: Sequence[E]) -> list[Node[E]]:
    """The roots, in order of time. `events` come in order of time; each is in the tree exactly once."""
    spans = _Spans(events)
    by_id = {str(event.event_id): at for at, event in reversed(list(enumerate(events)))}
    parents: list[int | None] = []
    for at, event in enumerate(events):
        named = by_id.get(str(event.parent_event_id)) if event.parent_event_id else None
        parents.append(named if named not in (None, at) else spans.parent_of(at))
    _cut_cycles(parents)

    nodes = [Node(at + 1, event) for at, event in enumerate(events)]
    for node, parent in zip(nodes, parents, strict=True):
        if parent is not None:
            node.parent = nodes[parent]
            nodes[parent].children.append(node)
    return [node for node in nodes if node.parent is None]


def walk(roots: Sequence[Node[E]]) -> Iterator[Place[E]]:
    """Every node once, depth first, parents before children."""
    stack = [Place(root, 0, root is roots[-1]) for root in reversed(roots)]
    while stack:
        place = stack.pop()
        yield place
        children = place.node.children
        stack.extend(Place(child, place.depth + 1, child is children[-1]) for child in reversed(children))


class _Spans(Generic[E]):
    """Where a span id occurs: positions in order of time, for each agent and for all, ends apart."""

    def __init__(self, events: Sequence[E]) -> None:
        self._events = events
        self._positions: defaultdict[tuple[str | None, str, bool], list[int]] = defaultdict(list)
        for at, event in enumerate(events):
            if event.span_id:
                is_end = _is_end(event)
                self._positions[event.agent_id or "", event.span_id, is_end].append(at)
                self._positions[None, event.span_id, is_end].append(at)

    def parent_of(self, at: int) -> int | None:
        event = self._events[at]
        agent = event.agent_id or ""
        if event.parent_span_id:
            for whose in (agent, None):
                for is_end in (False, True):
                    found = self._nearest(at, self._positions.get((whose, event.parent_span_id, is_end), []))
                    if found is not None:
                        return found
            return None
        if event.span_id and _is_end(event):
            starts = self._positions.get((agent, event.span_id, False), [])
            return starts[bisect_left(starts, at) - 1] if starts and starts[0] < at else None
        return None

    def _nearest(self, at: int, positions: list[int]) -> int | None:
        place = bisect_left(positions, at)
        if place:
            return positions[place - 1]
        later = place + 1 if positions[:1] == [at] else place
        return positions[later] if later < len(positions) else None


def _is_end(event: TracedEvent) -> bool:
    return event.event_type.endswith(".end")


def _cut_cycles(parents: list[int | None]) -> None:
    """Make the earliest event of every cycle a root. Each position is walked over once."""
    walked_by: list[int | None] = [None] * len(parents)
    for start in range(len(parents)):
        at: int | None = start
        while at is not None and walked_by[at] is None:
            walked_by[at] = start
            at = parents[at]
        if at is not None and walked_by[at] == start:
            parents[_earliest_on_cycle(parents, at)] = None


def _earliest_on_cycle(parents: list[int | None], entry: int) -> int:
    earliest, at = entry, parents[entry]
    while at is not None and at != entry:
        earliest, at = min(earliest, at), parents[at]
    return earliest

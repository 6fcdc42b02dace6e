"""The tree of a trace: which event stands below which, and which start an end ends. Pure, and never recursive.

Whose child an event is:
1. of the event that `parent_event_id` names, if the trace has it;
2. an end is the child of its start (below);
3. else of the event with the span id that `parent_span_id` names. Span ids repeat between services that count their
   own, so the same agent is looked up first, then all; among several the nearest earlier one, else (clocks differ) the
   next later one. An end is only chosen when nothing else has that span id;
4. anything else is a root. Of a cycle, the earliest event becomes a root.

Which start an end ends, of the same agent and kind (`agent.tool_call.end` ends an `agent.tool_call.start`), the nearest
earlier one:
1. of the end's own span, if that has a start at all;
2. else of the same identifier, and the event that `parent_event_id` names;
3. else of the same identifier, and in the span that `parent_span_id` names: senders that give every event a span;
4. where the end has neither span nor parent: of the same identifier, without a span.
"Slowest tools" of docs/sql.md pairs by the same rules. An end that none of them gives a start has no duration.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    @property
    def identifier(self) -> str: ...


E = TypeVar("E", bound=TracedEvent)

_START, _END = ".start", ".end"


@dataclass(slots=True)
class Node(Generic[E]):
    """An event, its step (its place in time, from 1) and what stands below it, in order of time.

    `start` is what an end ends, `ended` says of a start that something does.
    """

    step: int
    event: E
    parent: Node[E] | None = None
    children: list[Node[E]] = field(default_factory=list["Node[E]"])
    start: Node[E] | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Place(Generic[E]):
    """A node as it is drawn: how deep it stands, and whether it is the last child of its parent."""

    node: Node[E]
    depth: int
    is_last: bool


def build_tree(events: Sequence[E]) -> list[Node[E]]:
    """The roots, in order of time. `events` come in order of time; each is in the tree exactly once."""
    return [node for node in build_nodes(events) if node.parent is None]


def build_nodes(events: Sequence[E]) -> list[Node[E]]:
    """Every node of the tree, in the order of the events."""
    by_id = {str(event.event_id): at for at, event in reversed(list(enumerate(events)))}
    spans, starts = _Spans(events), _Starts(events, by_id)
    parents: list[int | None] = []
    ends: list[int | None] = []
    for at, event in enumerate(events):
        start = starts.of_end(at)
        ends.append(start)
        named = by_id.get(str(event.parent_event_id)) if event.parent_event_id else None
        if named in (None, at):
            named = spans.parent_of(at) if start is None else start
        parents.append(named)
    _cut_cycles(parents)

    nodes = [Node(at + 1, event) for at, event in enumerate(events)]
    for node, parent, start in zip(nodes, parents, ends, strict=True):
        if parent is not None:
            node.parent = nodes[parent]
            nodes[parent].children.append(node)
        if start is not None:
            node.start = nodes[start]
            nodes[start].ended = True
    return nodes


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
        elif event.span_id and _is_end(event):
            return _last_before(at, self._positions.get((agent, event.span_id, False), []))
        return None

    def _nearest(self, at: int, positions: list[int]) -> int | None:
        place = bisect_left(positions, at)
        if place:
            return positions[place - 1]
        later = place + 1 if positions[:1] == [at] else place
        return positions[later] if later < len(positions) else None


class _Starts(Generic[E]):
    """The starts of a trace, by what an end may know of its own: positions in order of time."""

    def __init__(self, events: Sequence[E], by_id: Mapping[str, int]) -> None:
        self._events = events
        self._by_id = by_id
        self._of_span: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._of_identifier: defaultdict[tuple[str, str, str, str], list[int]] = defaultdict(list)
        for at, event in enumerate(events):
            if event.event_type.endswith(_START):
                kind, agent, span = event.event_type.removesuffix(_START), event.agent_id or "", event.span_id or ""
                self._of_identifier[kind, agent, span, event.identifier].append(at)
                if span:
                    self._of_span[kind, agent, span].append(at)

    def of_end(self, at: int) -> int | None:
        """The position of the start that the event ends; None if it is no end, or has none."""
        event = self._events[at]
        if not _is_end(event):
            return None
        kind, agent, span = event.event_type.removesuffix(_END), event.agent_id or "", event.span_id or ""
        if span and (own := self._of_span.get((kind, agent, span))):
            return _last_before(at, own)
        if event.parent_event_id:
            named = self._by_id.get(str(event.parent_event_id), at)
            other = self._events[named]
            wanted = (kind + _START, agent, event.identifier)
            fits = (other.event_type, other.agent_id or "", other.identifier) == wanted
            return named if named < at and fits else None
        above = event.parent_span_id or ""
        if span and not above:
            return None
        return _last_before(at, self._of_identifier.get((kind, agent, above, event.identifier), []))


def _last_before(at: int, positions: list[int]) -> int | None:
    place = bisect_left(positions, at)
    return positions[place - 1] if place else None


def _is_end(event: TracedEvent) -> bool:
    return event.event_type.endswith(_END)


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

"""How a trace looks on a terminal: a header with its figures, then the tree, one line for one event.

Pure: values in, rich.Text out, so that the same lines go to a terminal in colour and to a pipe without. Everything
that a user sent is made harmless first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import cast

from rich.cells import cell_len
from rich.text import Text

from axonstream import Event, TraceSummary
from axonstream.cli.run_state import run_state
from axonstream.cli.terminal_text import cut, harmless, pad
from axonstream.cli.time_text import count_text, duration_text
from axonstream.cli.trace_tree import Node, Place, build_nodes, walk
from axonstream.event_contract import EventType
from axonstream.json_values import MARK

WIDTH = 100  # cells, where no terminal says otherwise
MIN_EVENT_WIDTH = 24  # that branches leave for what happened
MAX_AGENT_WIDTH = 16
MAX_DRAWN_DEPTH = 12  # deeper than this the indentation stays and the depth is written out

_LABELS: Mapping[str, str] = {
    EventType.AGENT_START: "start",
    EventType.AGENT_END: "end",
    EventType.AGENT_MESSAGE: "message",
    EventType.AGENT_TOOL_CALL_START: "tool call",
    EventType.AGENT_TOOL_CALL_END: "tool done",
    EventType.AGENT_ERROR: "ERROR",
    EventType.AGENT_HANDOFF: "handoff",
}
_STYLES: Mapping[str, str] = {
    EventType.AGENT_TOOL_CALL_START: "cyan",
    EventType.AGENT_TOOL_CALL_END: "cyan",
    EventType.AGENT_ERROR: "bold red",
    EventType.AGENT_HANDOFF: "magenta",
}


_ERRORS = ("error", "exception", "message", "reason")
_WORDS = ("message", "error", "reason", "detail", "description", MARK)
_KINDS = ("type", "name", "code")


def trace_lines(summary: TraceSummary, events: Sequence[Event], now: datetime, width: int = WIDTH) -> Iterator[Text]:
    """The header, a blank line, and the tree of `events`, which come in order of time."""
    nodes = build_nodes(events)
    yield from header_lines(summary, run_state(nodes, now) if nodes else None, width)
    yield Text()
    yield from tree_lines(nodes, width)


def header_lines(summary: TraceSummary, state: Text | None, width: int = WIDTH) -> Iterator[Text]:
    """What the summary says; `state` is how the run stands, where its events are known. The id is never cut."""
    if state is None:
        error = summary.first_error
        words = f"failed at step {error.step} of {summary.total_events}" if error else "no errors"
        state = Text(words, "bold red" if error else "green")
    name = Text(f"trace {harmless(summary.trace_id)}", "bold")
    if name.cell_len + 2 + state.cell_len <= width:
        yield Text.assemble(name, "  ", state)
    else:
        yield name
        state.truncate(width, overflow="ellipsis")
        yield state
    figures = [
        count_text(summary.total_events, "event"),
        count_text(summary.tool_call_count, "tool call"),
        count_text(summary.handoff_count, "handoff"),
        count_text(summary.error_count, "error"),
        duration_text(summary.duration_ms),
    ]
    yield Text(cut(" · ".join(figures), width))
    if summary.agents:
        yield Text(cut("agents: " + ", ".join(harmless(agent) for agent in summary.agents), width))
    if summary.stale:
        yield Text("The newest events may be missing: the stack is behind. Ask again in a moment.", "yellow")


def tree_lines(nodes: Sequence[Node[Event]], width: int = WIDTH) -> Iterator[Text]:
    """One line for one event: step, time since the first event, agent, and its place; none is wider than `width`."""
    if not nodes:
        return
    first_error = next((node.step for node in nodes if node.event.event_type == EventType.AGENT_ERROR), 0)
    agents = {node.event.agent_id: harmless(node.event.agent_id) for node in nodes if node.event.agent_id}
    agent_width = min(MAX_AGENT_WIDTH, max(4, width // 6), max(map(cell_len, agents.values()), default=0))
    step_width = max(4, len(str(len(nodes))))
    left_width = step_width + agent_width + 17
    drawn_depth = max(1, min(MAX_DRAWN_DEPTH, (width - left_width - MIN_EVENT_WIDTH) // 3))
    branches: list[str] = []
    yield Text(f"  {'step':>{step_width}}  {'at':>9}  {pad('agent', agent_width)}  event", "dim")
    for place in walk([node for node in nodes if node.parent is None]):
        event, step = place.node.event, place.node.step
        failed = step == first_error
        at = f"+{duration_text(_milliseconds_between(nodes[0].event, event))}"
        agent = cut(agents.get(event.agent_id or "", ""), agent_width)
        branch = _branch(place, branches, drawn_depth)
        left = f"{'>' if failed else ' '} {step:>{step_width}}  {at:>9}  {pad(agent, agent_width)}  "
        line = Text.assemble((left, "bold red" if failed else ""), (branch, "dim"))
        yield _described(line, place.node, width, marked=failed)


def _described(line: Text, node: Node[Event], width: int, *, marked: bool) -> Text:
    """`line` with what happened and as much of the payload as fits; the mark always fits."""
    event = node.event
    mark = "  <- first error" if marked else ""
    room = width - line.cell_len - len(mark)
    identifier = cut(harmless(event.identifier), max(12, room - 12))
    label = _LABELS.get(event.event_type, event.event_type)
    line.append(identifier, "bold red" if marked else "bold")
    line.append(f"  {label}", _STYLES.get(event.event_type, "dim"))
    if node.start is not None:
        line.append(f" in {duration_text(_milliseconds_between(node.start.event, event))}", "dim")
    room = width - line.cell_len - len(mark) - 2
    if room >= 8 and (detail := cut(_detail(event), room)):
        line.append(f"  {detail}", "red" if marked else "dim")
    line.truncate(width - len(mark), overflow="ellipsis")
    line.append(mark, "bold red")
    return line


def _detail(event: Event) -> str:
    """The error's own words, or the plain values of the payload as name=value."""
    if event.event_type == EventType.AGENT_ERROR:
        for name in _ERRORS:
            if words := _words_of(event.payload.get(name)):
                return harmless(words[:WIDTH])
    plain = [
        f"{name[:WIDTH]}={str(value)[:WIDTH]}"
        for name, value in islice(event.payload.items(), 8)
        if isinstance(value, str | int | float)
    ]
    return harmless("  ".join(plain))


def _words_of(value: object) -> str:
    """A text, or what an object of an error says: `ValueError: no such city` of `{"type": ..., "message": ...}`."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    members = cast("dict[str, object]", value)
    said, kind = _first_text(members, _WORDS), _first_text(members, _KINDS)
    return f"{kind[:WIDTH]}: {said}" if kind and said else said or kind


def _first_text(members: Mapping[str, object], names: Sequence[str]) -> str:
    return next((text for name in names if isinstance(text := members.get(name), str) and text), "")


def _branch(place: Place[Event], branches: list[str], drawn_depth: int) -> str:
    """The lines left of an event. `branches[d]` is what stands below the node of depth d on the path to it."""
    del branches[min(place.depth, drawn_depth + 1) :]
    above = branches[-1] if branches else ""
    if place.depth == 0:
        branches.append("")
        return ""
    if place.depth <= drawn_depth:
        branches.append(above + ("   " if place.is_last else "│  "))
        return above + ("└─ " if place.is_last else "├─ ")
    return f"{above}└─ [depth {place.depth}] "


def _milliseconds_between(first: Event, later: Event) -> int:
    if first.occurred_at is None or later.occurred_at is None:
        return 0
    return max(0, (later.occurred_at - first.occurred_at) // timedelta(milliseconds=1))

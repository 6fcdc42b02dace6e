"""How a trace looks on a terminal: a header with its figures, then the tree, one line for one event.

Pure: values in, rich.Text out, so that the same lines go to a terminal in colour and to a pipe without. Everything
that a user sent is made harmless first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from rich.cells import cell_len
from rich.text import Text

from axonstream import Event, TraceSummary
from axonstream.event_contract import EventType
from deploy.terminal_text import cut, harmless, pad
from deploy.trace_tree import Node, Place, build_tree, walk

WIDTH = 100  # cells
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


def trace_lines(summary: TraceSummary, events: Sequence[Event]) -> Iterator[Text]:
    """The header, a blank line, and the tree of `events`, which come in order of time."""
    yield from header_lines(summary)
    yield Text()
    yield from tree_lines(events)


def header_lines(summary: TraceSummary) -> Iterator[Text]:
    """What the summary says, in two or three lines."""
    state = Text("no errors", "green")
    if summary.first_error is not None:
        state = Text(f"failed at step {summary.first_error.step} of {summary.total_events}", "bold red")
    yield Text.assemble(Text(f"trace {harmless(summary.trace_id)}", "bold"), "  ", state)
    figures = [
        _count(summary.total_events, "event"),
        _count(summary.tool_call_count, "tool call"),
        _count(summary.handoff_count, "handoff"),
        _count(summary.error_count, "error"),
        duration_text(summary.duration_ms),
    ]
    yield Text(" · ".join(figures))
    if summary.agents:
        yield Text(cut("agents: " + ", ".join(harmless(agent) for agent in summary.agents), WIDTH))
    if summary.stale:
        yield Text("The newest events may be missing: the stack is behind. Ask again in a moment.", "yellow")


def tree_lines(events: Sequence[Event]) -> Iterator[Text]:
    """One line for one event: step, time since the first event, agent, and its place in the tree."""
    if not events:
        return
    first_error = next((at for at, event in enumerate(events, 1) if event.event_type == EventType.AGENT_ERROR), 0)
    agents = {event.agent_id: harmless(event.agent_id) for event in events if event.agent_id}
    agent_width = min(MAX_AGENT_WIDTH, max(map(cell_len, agents.values()), default=0))
    step_width = max(4, len(str(len(events))))
    branches: list[str] = []
    yield Text(f"  {'step':>{step_width}}  {'at':>9}  {pad('agent', agent_width)}  event", "dim")
    for place in walk(build_tree(events)):
        event, step = place.node.event, place.node.step
        failed = step == first_error
        at = f"+{duration_text(_milliseconds_between(events[0], event))}"
        agent = cut(agents.get(event.agent_id or "", ""), agent_width)
        branch = _branch(place, branches)
        left = f"{'>' if failed else ' '} {step:>{step_width}}  {at:>9}  {pad(agent, agent_width)}  "
        line = Text.assemble((left, "bold red" if failed else ""), (branch, "dim"))
        yield _described(line, place.node, marked=failed)


def duration_text(milliseconds: int) -> str:
    """`812 ms`, `4,560 ms`, `12.3 s`, `7.5 min`, `26.1 h`."""
    if milliseconds < 10_000:
        return f"{milliseconds:,} ms"
    if milliseconds < 600_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:.1f} min" if milliseconds < 36_000_000 else f"{milliseconds / 3_600_000:,.1f} h"


def _described(line: Text, node: Node[Event], *, marked: bool) -> Text:
    """`line` with what happened and as much of the payload as fits; the mark always fits."""
    event = node.event
    mark = "  <- first error" if marked else ""
    room = WIDTH - line.cell_len - len(mark)
    identifier = cut(harmless(event.identifier), max(12, room - 12))
    label = _LABELS.get(event.event_type, event.event_type)
    line.append(identifier, "bold red" if marked else "bold")
    line.append(f"  {label}", _STYLES.get(event.event_type, "dim"))
    started = node.parent.event if node.parent else None
    if started is not None and str(started.event_type).endswith(".start") and event.event_type.endswith(".end"):
        line.append(f" in {duration_text(_milliseconds_between(started, event))}", "dim")
    room = WIDTH - line.cell_len - len(mark) - 2
    if room >= 8 and (detail := cut(_detail(event), room)):
        line.append(f"  {detail}", "red" if marked else "dim")
    line.append(mark, "bold red")
    return line


def _detail(event: Event) -> str:
    """The error's own words, or the plain values of the payload as name=value."""
    if event.event_type == EventType.AGENT_ERROR:
        for name in ("error", "message", "reason"):
            if isinstance(text := event.payload.get(name), str):
                return harmless(text[:WIDTH])
    plain = [
        f"{name[:WIDTH]}={str(value)[:WIDTH]}"
        for name, value in islice(event.payload.items(), 8)
        if isinstance(value, str | int | float)
    ]
    return harmless("  ".join(plain))


def _branch(place: Place[Event], branches: list[str]) -> str:
    """The lines left of an event. `branches[d]` is what stands below the node of depth d on the path to it."""
    del branches[min(place.depth, MAX_DRAWN_DEPTH + 1) :]
    above = branches[-1] if branches else ""
    if place.depth == 0:
        branches.append("")
        return ""
    if place.depth <= MAX_DRAWN_DEPTH:
        branches.append(above + ("   " if place.is_last else "│  "))
        return above + ("└─ " if place.is_last else "├─ ")
    return f"{above}└─ [depth {place.depth}] "


def _milliseconds_between(first: Event, later: Event) -> int:
    if first.occurred_at is None or later.occurred_at is None:
        return 0
    return max(0, (later.occurred_at - first.occurred_at) // timedelta(milliseconds=1))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

"""How a run stands, as far as its events say so. Pure.

| words | when |
|---|---|
| ended, no errors | the first `agent.start` has its end |
| ended, 1 error recovered (step 8 of 12) | likewise, and what failed was begun again after the error, and ended |
| ended with 1 error, first at step 6 of 7 | likewise, and of at least one error the events do not say that |
| failed at step 6 of 7 | it did not end, and an error is the last thing, or nothing is open after one |
| running: export open for 15.0 min | it did not end, and something that was started has not; errors before are named |
| no errors | none of these: nothing says when it is over |

Not told apart: a run that works and one that was killed in the middle. Both are open; how long is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from axonstream import Event, EventType
from axonstream.cli.terminal_text import cut, harmless
from axonstream.cli.time_text import count_text, duration_text
from axonstream.cli.trace_tree import Node

_NAME_WIDTH = 24


def run_state(nodes: Sequence[Node[Event]], now: datetime) -> Text:
    """`nodes` are all of the trace, in order of time."""
    errors = [node for node in nodes if node.event.event_type == EventType.AGENT_ERROR]
    run = next((node for node in nodes if node.event.event_type == EventType.AGENT_START), None)
    failed = [error for error in errors if not _is_recovered(error, nodes)]
    where = f"step {errors[0].step} of {len(nodes)}" if errors else ""
    if run is not None and run.ended:
        if not errors:
            return Text("ended, no errors", "green")
        if not failed:
            return Text(f"ended, {count_text(len(errors), 'error')} recovered ({where})", "yellow")
        return Text(f"ended with {count_text(len(errors), 'error')}, first at {where}", "bold red")
    still_open = _open(nodes, errors)
    if failed and (nodes[-1] is errors[-1] or not still_open):
        return Text(f"failed at {where}", "bold red")
    if not still_open:
        return Text("no errors", "green")
    last = still_open[-1]
    words = f"running: {cut(harmless(last.event.identifier), _NAME_WIDTH)} open{_age(last.event, now)}"
    if not errors:
        return Text(words, "cyan")
    before = count_text(len(errors), "error")
    if failed:
        return Text(f"{words}, {before}, first at {where}", "bold red")
    return Text(f"{words}, {before} recovered ({where})", "yellow")


def _is_recovered(error: Node[Event], nodes: Sequence[Node[Event]]) -> bool:
    """Whether the same agent began the same thing again after the error, and that ended."""
    what = (error.event.agent_id, error.event.identifier)
    later = nodes[error.step :]
    return any(node.ended and (node.event.agent_id, node.event.identifier) == what for node in later)


def _open(nodes: Sequence[Node[Event]], errors: Sequence[Node[Event]]) -> list[Node[Event]]:
    """What was started and neither ended nor failed."""
    failed = {error.parent.step for error in errors if error.parent is not None}
    failed_spans = {(error.event.agent_id, error.event.span_id) for error in errors if error.event.span_id}
    return [
        node
        for node in nodes
        if node.event.event_type.endswith(".start")
        and not node.ended
        and node.step not in failed
        and (node.event.agent_id, node.event.span_id) not in failed_spans
    ]


def _age(event: Event, now: datetime) -> str:
    if event.occurred_at is None or event.occurred_at > now:
        return ""
    return f" for {duration_text((now - event.occurred_at) // timedelta(milliseconds=1))}"

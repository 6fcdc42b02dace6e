"""The demonstration: a run of 12 steps by three services, with 3 tool calls, that first fails at step 8.

The services share nothing but the trace id: each has its own client, channel, agent and span ids. What
belongs below what is said by `parent_span_id`, and between services by `parent_event_id`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from axonstream import AxonPush, TraceContext
from axonstream import EventType as Type
from axonstream.cli.terminal_text import print_lines, terminal_width
from axonstream.cli.trace_view import trace_lines
from axonstream.trace_context import new_trace_id

STEPS = 12
FAILING_STEP = 8


@dataclass
class Service:
    """One service of the run: what it publishes, it publishes at the clock of the run, below its last open span."""

    client: AxonPush
    trace: TraceContext
    channel_id: int
    agent_id: str
    clock: Clock

    def publish(
        self, event_type: Type, identifier: str, payload: dict[str, Any], *, below: Step | None, after_ms: int
    ) -> Step:
        """Publish one event, `after_ms` after the one before; `below` is the step that it belongs to."""
        same_service = below is not None and below.agent_id == self.agent_id
        span_id = self.trace.next_span_id()
        event = self.client.events.publish(
            identifier,
            payload,
            self.channel_id,
            agent_id=self.agent_id,
            trace_id=self.trace.trace_id,
            span_id=span_id,
            parent_span_id=below.span_id if below and same_service else None,
            parent_event_id=below.event_id if below and not same_service else None,
            event_type=event_type,
            environment="demo",
            occurred_at=self.clock.after(after_ms),
        )
        return Step(event.event_id, span_id, self.agent_id)


@dataclass(frozen=True)
class Step:
    """A published event, as the ones below it name it."""

    event_id: int
    span_id: str
    agent_id: str


@dataclass
class Clock:
    """The time of the run, which ends about now although it is played at once."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(milliseconds=3600))

    def after(self, milliseconds: int) -> datetime:
        self.now += timedelta(milliseconds=milliseconds)
        return self.now


def play(url: str, key: str, tenant: str, *, new_id: Callable[[], str] = new_trace_id) -> str:
    """Publish the run through the gateway at `url` and return its trace id; raises the SDK's errors."""
    trace_id = new_id()
    clock = Clock()
    with ExitStack() as stack:
        planner, researcher, writer = (
            Service(
                stack.enter_context(AxonPush(key, tenant, base_url=url)), TraceContext(trace_id), channel, agent, clock
            )
            for channel, agent in ((1, "planner"), (2, "researcher"), (3, "writer"))
        )
        _play_steps(planner, researcher, writer)
    return trace_id


def _play_steps(planner: Service, researcher: Service, writer: Service) -> None:
    run = planner.publish(Type.AGENT_START, "market_report", {"topic": "AI frameworks"}, below=None, after_ms=0)
    research = planner.publish(Type.AGENT_HANDOFF, "research", {"to": "researcher"}, below=run, after_ms=143)

    search = {"query": "AI frameworks 2026"}
    call = researcher.publish(Type.AGENT_TOOL_CALL_START, "web_search", search, below=research, after_ms=87)
    researcher.publish(Type.AGENT_TOOL_CALL_END, "web_search", {"results": 9}, below=call, after_ms=812)
    write = researcher.publish(Type.AGENT_HANDOFF, "write", {"to": "writer"}, below=research, after_ms=164)

    draft = writer.publish(Type.AGENT_START, "draft_report", {"sources": 9}, below=write, after_ms=96)
    call = writer.publish(Type.AGENT_TOOL_CALL_START, "summarize", {"input_tokens": 131072}, below=draft, after_ms=58)
    too_long = {"error": "over 128k tokens"}
    writer.publish(Type.AGENT_ERROR, "summarize", too_long, below=call, after_ms=874)
    writer.publish(Type.AGENT_MESSAGE, "drop_sources", {"kept": 7, "dropped": 2}, below=draft, after_ms=211)
    call = writer.publish(Type.AGENT_TOOL_CALL_START, "summarize", {"input_tokens": 98304}, below=draft, after_ms=46)
    writer.publish(Type.AGENT_TOOL_CALL_END, "summarize", {"output_tokens": 1210}, below=call, after_ms=895)

    planner.publish(Type.AGENT_END, "market_report", {"pages": 4}, below=run, after_ms=187)


def show(url: str, key: str, tenant: str, trace_id: str) -> None:
    """Print the summary and the tree of the trace, the failing step marked."""
    with AxonPush(key, tenant, base_url=url) as client:
        summary = client.traces.get_summary(trace_id)
        events = client.traces.get_events(trace_id)
    print_lines(trace_lines(summary, events, datetime.now(UTC), terminal_width()))

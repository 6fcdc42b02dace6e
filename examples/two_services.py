"""Two services, one trace.

The first calls the second with the W3C header `traceparent`, as HTTP clients propagate it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

from axonstream import AxonPush, EventType, read_traceparent, trace_scope

URL = os.environ.get("AXONSTREAM_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("AXONSTREAM_API_KEY", "ak_local")


def planner() -> None:
    """The first service: it hands over to the second, which is a process of its own."""
    traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    trace_id = trace_of(traceparent)
    with AxonPush(api_key=KEY, tenant_id="1", base_url=URL) as client, trace_scope(trace_id) as trace:
        client.events.publish("write", {"to": "writer"}, 1, agent_id="planner", event_type=EventType.AGENT_HANDOFF)
        subprocess.run([sys.executable, __file__, traceparent], check=True, timeout=60)
        summary = client.traces.get_summary(trace.trace_id)
        print(f"events: {summary.total_events}, agents: {', '.join(sorted(summary.agents))}")


def writer(traceparent: str) -> None:
    """The second service, with what came in the header of its request."""
    with AxonPush(api_key=KEY, tenant_id="1", base_url=URL) as client, trace_scope(trace_of(traceparent)):
        client.events.publish("draft", {"pages": 4}, 1, agent_id="writer", event_type=EventType.AGENT_END)


def trace_of(traceparent: str) -> str | None:
    """None for a header that is not valid: then a new trace begins."""
    parent = read_traceparent(traceparent)
    return None if parent is None else parent.trace_id


if __name__ == "__main__":
    if len(sys.argv) > 1:
        writer(sys.argv[1])
    else:
        planner()

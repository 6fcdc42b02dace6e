"""One agent plans, searches and fails; then its trace is read back."""

from __future__ import annotations

import os

from axonstream import AxonPush, trace_scope
from axonstream import EventType as Is

URL = os.environ.get("AXONSTREAM_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("AXONSTREAM_API_KEY", "ak_local")


def main() -> None:
    with AxonPush(api_key=KEY, tenant_id="1", base_url=URL) as client, trace_scope() as trace:
        publish = client.events.publish
        publish("plan", {"topic": "AI frameworks"}, 1, agent_id="planner", event_type=Is.AGENT_START)
        publish("web_search", {"query": "AI frameworks"}, 1, agent_id="planner", event_type=Is.AGENT_TOOL_CALL_START)
        publish("web_search", {"error": "no answer in 5 s"}, 1, agent_id="planner", event_type=Is.AGENT_ERROR)
        summary = client.traces.get_summary(trace.trace_id)  # a read sees what was acknowledged before it
        print(f"events: {summary.total_events}, tool calls: {summary.tool_call_count}, errors: {summary.error_count}")
        for event in client.traces.get_events(trace.trace_id):
            print(f"{event.agent_id}  {event.identifier}  {event.event_type}  {event.payload}")


if __name__ == "__main__":
    main()

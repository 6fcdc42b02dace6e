"""A fold into a plain dict, for peers that keep states as JSON: the counters of a summary, without a memory of ids.

It does less than the product's: repeats are not recognised, and nothing says whether a summary is exact.
"""

from __future__ import annotations

from typing import Any


def folded(state: dict[str, Any] | None, event: dict[str, Any]) -> dict[str, Any]:
    """The state after `event`; changed in place when there is one."""
    at = event["occurred_at"]
    if state is None:
        state = {
            "tenant_id": event["tenant_id"],
            "trace_id": event["trace_id"],
            "event_count": 0,
            "error_count": 0,
            "tool_call_count": 0,
            "handoff_count": 0,
            "first_at": at,
            "last_at": at,
            "last_received_at": event["received_at"],
            "agents": [],
            "event_types": [],
            "first_error": None,
        }
    state["event_count"] += 1
    event_type = event["event_type"]
    if event_type == "agent.tool_call.start":
        state["tool_call_count"] += 1
    elif event_type == "agent.handoff":
        state["handoff_count"] += 1
    elif event_type == "agent.error":
        state["error_count"] += 1
        if state["first_error"] is None:
            state["first_error"] = [event["event_id"], state["event_count"], event["span_id"], event["identifier"]]
    if event["agent_id"] not in state["agents"]:
        state["agents"].append(event["agent_id"])
    if event_type not in state["event_types"]:
        state["event_types"].append(event_type)
    state["first_at"] = min(state["first_at"], at)
    state["last_at"] = max(state["last_at"], at)
    state["last_received_at"] = max(state["last_received_at"], event["received_at"])
    return state

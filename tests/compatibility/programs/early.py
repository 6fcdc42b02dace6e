"""A program of 0.0.1 - 0.0.9, run with that package and none of ours; prints what it saw as JSON.

Arguments: base_url, trace id.
"""

import asyncio
import json
import sys

from axonpush import AsyncAxonPush, AxonPush, EventType
from axonpush.exceptions import AuthenticationError, ForbiddenError, NotFoundError, ValidationError

URL, TRACE = sys.argv[1:3]
seen = {}


def refusals():
    """What each wrong call is told as."""
    calls = {
        "validation": lambda client: client.events.publish("", {}, channel_id=1),
        "unknown trace": lambda client: client.traces.get_summary("tr_of_nobody"),
        "unknown app": lambda client: client.apps.get(77),
        "unknown channel": lambda client: client.channels.get(77),
        "bad url": lambda client: client.webhooks.create_endpoint("ftp://a", 1),
    }
    told = {}
    with AxonPush(api_key="ak_local", tenant_id="1", base_url=URL) as client:
        for name, call in calls.items():
            try:
                call(client)
            except (ValidationError, NotFoundError) as error:
                told[name] = type(error).__name__
    for name, key, tenant in (("key", "ak_wrong", "1"), ("tenant", "ak_local", "2")):
        with AxonPush(api_key=key, tenant_id=tenant, base_url=URL) as client:
            try:
                client.apps.list()
            except (AuthenticationError, ForbiddenError) as error:
                told[name] = type(error).__name__
    return told


with AxonPush(api_key="ak_local", tenant_id="1", base_url=URL) as client:
    app = client.apps.create("compatibility")
    channel = client.channels.create("steps", app.id)
    first = client.events.publish(
        "web_search",
        {"n": 1, "big": 2**53 + 1, "none": None},
        channel_id=channel.id,
        agent_id="researcher",
        trace_id=TRACE,
        span_id="sp_1",
        event_type=EventType.AGENT_TOOL_CALL_START,
        metadata={"a": "é"},
    )
    client.events.publish(
        "summarize",
        {"n": 2},
        channel_id=channel.id,
        agent_id="writer",
        trace_id=TRACE,
        span_id="sp_2",
        parent_event_id=first.id,
        event_type="agent.error",
    )
    summary = client.traces.get_summary(TRACE)
    seen["published"] = {"identifier": first.identifier, "payload": first.payload, "metadata": first.metadata}
    seen["summary"] = {
        "events": getattr(summary, "event_count", None) or summary.total_events,
        "errors": summary.error_count,
        "tool_calls": summary.tool_call_count,
        "agents": summary.agents,
        "duration_ms": summary.duration_ms,
    }
    seen["events"] = [
        [e.identifier, e.parent_event_id and e.parent_event_id - first.id] for e in client.traces.get_events(TRACE)
    ]
    seen["traces"] = [[t.trace_id, t.event_count] for t in client.traces.list(page=1, limit=5) if t.trace_id == TRACE]
    seen["channel events"] = [e.identifier for e in client.events.list(channel.id, page=1, limit=10)]
    seen["second page"] = [e.identifier for e in client.events.list(channel.id, page=2, limit=1)]
    seen["apps"] = [[a.id == app.id, a.name] for a in (client.apps.get(app.id), *client.apps.list()) if a.id == app.id]
    seen["renamed app"] = client.apps.update(app.id, "renamed").name
    seen["channel"] = [client.channels.get(channel.id).name, client.channels.update(channel.id, name="later").name]
    hook = client.webhooks.create_endpoint(
        "https://example.com/hook", channel.id, secret="a secret of mine", event_types=["agent.error"], description="d"
    )
    listed = client.webhooks.list_endpoints(channel.id)
    seen["webhooks"] = [
        [h.id == hook.id, h.url, h.channel_id == channel.id, h.event_types, h.active, h.description] for h in listed
    ]
    seen["deliveries"] = client.webhooks.get_deliveries(hook.id)
    client.webhooks.delete_endpoint(hook.id)
    seen["deactivated"] = [h.active for h in client.webhooks.list_endpoints(channel.id)]
    client.channels.delete(channel.id)
    client.apps.delete(app.id)
    seen["apps left"] = [a.id for a in client.apps.list() if a.id == app.id]


async def with_async_client():
    async with AsyncAxonPush(api_key="ak_local", tenant_id="1", base_url=URL) as client:
        app = await client.apps.create("of async")
        channel = await client.channels.create("c", app.id)
        await client.events.publish("step", {}, channel_id=channel.id, trace_id=f"{TRACE}_async")
        summary = await client.traces.get_summary(f"{TRACE}_async")
        rows = await client.events.list(channel.id)
        await client.apps.delete(app.id)
        return [getattr(summary, "event_count", None) or summary.total_events, [row.identifier for row in rows]]


seen["async"] = asyncio.run(with_async_client())
seen["refusals"] = refusals()
print(json.dumps(seen))

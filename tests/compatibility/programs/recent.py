"""A program of 0.0.18 and 0.0.19, run with that package and none of ours; prints what it saw as JSON.

Arguments: base_url, trace id.
"""

import asyncio
import json
import sys

from axonpush import AsyncAxonPush, AxonPush, EventType
from axonpush.exceptions import AuthenticationError, AxonPushError, ForbiddenError

URL, TRACE = sys.argv[1:3]
seen = {}


def refusals():
    """What each wrong call is told as."""
    calls = {
        "validation": lambda client: client.events.publish("", {}, "1"),
        "unknown trace": lambda client: client.traces.get("tr_of_nobody"),
        "unknown app": lambda client: client.apps.get("77"),
        "unknown channel": lambda client: client.channels.get("1", "77"),
        "bad url": lambda client: client.webhooks.create_endpoint(url="ftp://a", channel_id="1"),
    }
    told = {}
    with AxonPush(api_key="ak_local", base_url=URL, fail_open=False) as client:
        for name, call in calls.items():
            try:
                call(client)
            except AxonPushError as error:
                told[name] = type(error).__name__
    for name, key, tenant in (("key", "ak_wrong", None), ("tenant", "ak_local", "2")):
        with AxonPush(api_key=key, tenant_id=tenant, base_url=URL, fail_open=False) as client:
            try:
                client.apps.list()
            except (AuthenticationError, ForbiddenError) as error:
                told[name] = type(error).__name__
    return told


with AxonPush(api_key="ak_local", base_url=URL, fail_open=False) as client:
    app = client.apps.create("compatibility")
    channel = client.channels.create(app.app_id, "steps")
    first = client.events.publish(
        "web_search",
        {"n": 1, "big": 2**53 + 1, "none": None},
        channel.channel_id,
        agent_id="researcher",
        trace_id=TRACE,
        span_id="sp_1",
        event_type=EventType.AGENT_TOOL_CALL_START,
        metadata={"a": "é"},
    )
    client.events.publish(
        "summarize",
        {"n": 2},
        channel.channel_id,
        agent_id="writer",
        trace_id=TRACE,
        span_id="sp_2",
        parent_span_id="sp_1",
        dedup_key="k",
        event_type="agent.error",
    )
    seen["published"] = [isinstance(first.event_id, str), first.status]
    spans = client.traces.get(TRACE).spans
    seen["events"] = [[s.operation_name, s.parent_span_id or None, s.channel_id == channel.channel_id] for s in spans]
    seen["payload"] = spans[0].payload if isinstance(spans[0].payload, dict) else spans[0].payload.to_dict()
    listed = [t for t in client.traces.list(limit=5).traces if t.trace_id == TRACE]
    seen["traces"] = [[t.span_count, t.error_count] for t in listed]
    seen["older traces"] = [t.trace_id for t in client.traces.list(until="2020-01-01T00:00:00Z").traces]
    found = client.events.search(channel_id=channel.channel_id, limit=10)
    seen["channel events"] = [e.operation_name for e in found.events]
    seen["filtered"] = [e.operation_name for e in client.events.search(trace_id=TRACE, event_type="agent.error").events]
    seen["apps"] = [
        [a.app_id == app.app_id, a.name]
        for a in (client.apps.get(app.app_id), *client.apps.list())
        if a.app_id == app.app_id
    ]
    seen["renamed app"] = client.apps.update(app.app_id, name="renamed").name
    seen["channels"] = [c.name for c in client.channels.list(app.app_id)]
    seen["channel"] = [
        client.channels.get(app.app_id, channel.channel_id).name,
        client.channels.update(app.app_id, channel.channel_id, name="later").name,
    ]
    hook = client.webhooks.create_endpoint(
        url="https://example.com/hook", channel_id=channel.channel_id, event_types=["agent.error"], description="d"
    )
    seen["secret"] = bool(hook.raw_secret)
    seen["webhooks"] = [
        [
            h.endpoint_id == hook.endpoint_id,
            h.url,
            h.channel_id == channel.channel_id,
            h.event_types,
            h.active,
            h.description,
        ]
        for h in client.webhooks.list_endpoints(channel.channel_id)
    ]
    seen["deliveries"] = client.webhooks.deliveries(hook.endpoint_id)
    client.webhooks.delete_endpoint(hook.endpoint_id)
    seen["deactivated"] = [h.active for h in client.webhooks.list_endpoints(channel.channel_id)]
    seen["deleted"] = [client.channels.delete(app.app_id, channel.channel_id).ok, client.apps.delete(app.app_id).ok]
    seen["apps left"] = [a.app_id for a in client.apps.list() if a.app_id == app.app_id]


async def with_async_client():
    async with AsyncAxonPush(api_key="ak_local", base_url=URL, fail_open=False) as client:
        app = await client.apps.create("of async")
        channel = await client.channels.create(app.app_id, "c")
        await client.events.publish("step", {}, channel.channel_id, trace_id=f"{TRACE}_async")
        spans = (await client.traces.get(f"{TRACE}_async")).spans
        rows = (await client.events.search(channel_id=channel.channel_id)).events
        await client.apps.delete(app.app_id)
        return [len(spans), [row.operation_name for row in rows]]


seen["async"] = asyncio.run(with_async_client())
seen["refusals"] = refusals()
print(json.dumps(seen))

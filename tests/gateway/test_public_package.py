"""The public package `axonpush` 0.0.9, unmodified, works against the gateway with nothing changed but its base_url."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from axonpush import AsyncAxonPush, AxonPush, EventType, get_or_create_trace
from axonpush.exceptions import AuthenticationError, ForbiddenError, NotFoundError, ValidationError

pytestmark = pytest.mark.services


def test_its_seed_program(gateway_url: str) -> None:
    with AxonPush(api_key="ak_local", tenant_id="1", base_url=gateway_url) as client:
        trace = Context().run(get_or_create_trace)  # a fresh one, whatever trace is current here
        for identifier, payload in (("web_search", {"query": "AI"}), ("summarize", {"input_tokens": 1200})):
            event = client.events.publish(
                identifier,
                payload,
                channel_id=1,
                agent_id="researcher",
                trace_id=trace.trace_id,
                span_id=trace.next_span_id(),
                event_type=EventType.AGENT_TOOL_CALL_START,
            )
            assert event is not None
            assert (event.identifier, event.payload, event.queued) == (identifier, payload, False)
        summary = client.traces.get_summary(trace.trace_id)
        assert summary is not None
        assert (summary.event_count, summary.error_count, summary.tool_call_count) == (2, 0, 2)
        assert summary.agents == ["researcher"]
        listed = client.traces.list(page=1, limit=20)
        assert (listed[0].trace_id, listed[0].event_count) == (trace.trace_id, 2)
        assert [event.identifier for event in client.traces.get_events(trace.trace_id)] == ["web_search", "summarize"]


def test_its_async_client(gateway_url: str) -> None:
    async def scenario() -> None:
        async with AsyncAxonPush(api_key="ak_local", tenant_id="1", base_url=gateway_url) as client:
            event = await client.events.publish("step", {"n": 1}, channel_id=1, trace_id="tr_async", parent_event_id=7)
            assert event is not None
            assert event.parent_event_id == 7
            assert await client.traces.get_summary("tr_async")

    asyncio.run(scenario())


def test_its_errors(gateway_url: str) -> None:
    with AxonPush(api_key="ak_local", tenant_id="1", base_url=gateway_url) as client:
        with pytest.raises(ValidationError, match="identifier must be"):
            client.events.publish("", {}, channel_id=1)
        with pytest.raises(NotFoundError):
            client.traces.get_summary("tr_of_nobody")
    with (
        AxonPush(api_key="ak_wrong", tenant_id="1", base_url=gateway_url) as client,
        pytest.raises(AuthenticationError),
    ):
        client.traces.list()
    with AxonPush(api_key="ak_local", tenant_id="2", base_url=gateway_url) as client, pytest.raises(ForbiddenError):
        client.traces.list()

"""The programs of the seed page against a running gateway, and the same ones with the package `axonpush` 0.0.9.

No program sleeps: what was published is in the very next answer.
"""

from __future__ import annotations

import asyncio
import contextvars
from importlib.metadata import version
from threading import Thread
from uuid import uuid4

import axonpush
import pytest

from axonstream import (
    AsyncAxonPush,
    AuthenticationError,
    AxonPush,
    EventType,
    ForbiddenError,
    NotFoundError,
    ValidationError,
    current_trace,
    get_or_create_trace,
    trace_scope,
)

pytestmark = pytest.mark.services

KEY = "ak_local"
TENANT = "1"
TOOL = EventType.AGENT_TOOL_CALL_START


def fresh_id() -> str:
    return f"tr_run_{uuid4().hex}"


def seed_program(url: str) -> list[str]:
    """The program of the seed page, printing into a list."""
    printed: list[str] = []
    with AxonPush(api_key=KEY, tenant_id=TENANT, base_url=url) as client:
        trace = get_or_create_trace()
        client.events.publish(
            "web_search",
            {"query": "AI frameworks"},
            channel_id=1,
            agent_id="researcher",
            trace_id=trace.trace_id,
            span_id=trace.next_span_id(),
            event_type=EventType.AGENT_TOOL_CALL_START,
        )
        client.events.publish(
            "summarize",
            {"input_tokens": 1200},
            channel_id=1,
            agent_id="researcher",
            trace_id=trace.trace_id,
            span_id=trace.next_span_id(),
            event_type=EventType.AGENT_TOOL_CALL_START,
        )
        summary = client.traces.get_summary(trace.trace_id)
        printed.append(f"Events: {summary.total_events}")
        printed.append(f"Errors: {summary.error_count}, Tool calls: {summary.tool_call_count}")
        assert 0 <= summary.duration_ms < 60_000
        assert summary.agents == ("researcher",)
        assert not summary.stale
        [listed] = [t for t in client.traces.list(page=1, limit=20) if t.trace_id == trace.trace_id]
        printed.append(f"{listed.event_count} events")
        assert listed.start_time <= listed.end_time
        events = client.traces.get_events(trace.trace_id)
        printed.extend(f"  [{e.span_id}] {e.identifier} ({e.event_type})" for e in events)
    return printed


def seed_page(trace_id: str) -> list[str]:
    digits = trace_id.removeprefix("tr_")
    return [
        "Events: 2",
        "Errors: 0, Tool calls: 2",
        "2 events",
        f"  [sp_{digits}_0001] web_search (agent.tool_call.start)",
        f"  [sp_{digits}_0002] summarize (agent.tool_call.start)",
    ]


def test_twenty_fresh_traces_in_a_row_print_what_the_page_says(gateway_url: str):
    for _ in range(20):
        with trace_scope() as trace:
            assert seed_program(gateway_url) == seed_page(trace.trace_id)


def test_the_async_program(gateway_url: str):
    async def program() -> None:
        async with AsyncAxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
            trace = get_or_create_trace()
            for identifier in ("web_search", "summarize"):
                await client.events.publish(
                    identifier,
                    {"query": "AI agents"},
                    channel_id=1,
                    agent_id="researcher",
                    trace_id=trace.trace_id,
                    span_id=trace.next_span_id(),
                    event_type=EventType.AGENT_TOOL_CALL_START,
                )
            summary = await client.traces.get_summary(trace.trace_id)
            assert (summary.total_events, summary.error_count, summary.tool_call_count) == (2, 0, 2)
            assert trace.trace_id in [t.trace_id for t in await client.traces.list(page=1, limit=20)]
            events = await client.traces.get_events(trace.trace_id)
            assert [e.identifier for e in events] == ["web_search", "summarize"]
            assert [e.span_id for e in events] == sorted(str(e.span_id) for e in events)

    contextvars.Context().run(lambda: asyncio.run(program()))


def test_two_services_on_two_channels_make_one_trace(gateway_url: str):
    trace_id = fresh_id()

    def service(name: str, channel_id: int) -> None:
        with AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
            trace = get_or_create_trace(trace_id)
            client.events.publish(
                f"step_{name}",
                {"service": name},
                channel_id=channel_id,
                agent_id=f"service_{name}",
                trace_id=trace.trace_id,
                span_id=trace.next_span_id(),
            )

    contextvars.Context().run(service, "a", 1)
    contextvars.Context().run(service, "b", 2)
    with AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        summary = client.traces.get_summary(trace_id)
        events = client.traces.get_events(trace_id)
    assert (summary.total_events, summary.agents) == (2, ("service_a", "service_b"))
    assert [(e.identifier, e.channel_id) for e in events] == [("step_a", 1), ("step_b", 2)]
    assert events[0].span_id != events[1].span_id  # each service has spans of its own


def test_functions_and_threads_publish_into_the_trace_they_were_started_in(gateway_url: str):
    with trace_scope() as trace, AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:

        def tool(name: str) -> None:
            client.events.publish(name, {}, channel_id=1, span_id=get_or_create_trace().next_span_id())

        tool("called")
        thread = Thread(target=contextvars.copy_context().run, args=(tool, "threaded"))
        thread.start()
        thread.join()
        events = client.traces.get_events(trace.trace_id)
    assert [e.identifier for e in events] == ["called", "threaded"]
    assert [str(e.span_id)[-5:] for e in events] == ["_0001", "_0002"]


def test_tasks_share_their_parents_trace_and_siblings_keep_theirs(gateway_url: str):
    async def request(client: AsyncAxonPush) -> str:
        """One request, whose tools run as tasks and in a thread."""
        trace = get_or_create_trace()

        async def tool(name: str) -> None:
            await client.events.publish(name, {}, channel_id=1, event_type=TOOL)

        await asyncio.gather(tool("one"), tool("two"), asyncio.to_thread(asyncio.run, in_thread()))
        return trace.trace_id

    async def in_thread() -> None:
        async with AsyncAxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
            await client.events.publish("three", {}, channel_id=1, event_type=TOOL)

    async def server() -> None:
        async with AsyncAxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
            ids = await asyncio.gather(*(request(client) for _ in range(5)))
            assert len(set(ids)) == 5
            assert current_trace() is None
            for trace_id in ids:
                assert {e.identifier for e in await client.traces.get_events(trace_id)} == {"one", "two", "three"}
                assert (await client.traces.get_summary(trace_id)).tool_call_count == 3

    contextvars.Context().run(lambda: asyncio.run(server()))


def test_values_come_back_as_they_were(gateway_url: str):
    payload = {"big": 2**70, "float": 1.0, "odd": 2**53 + 1, "none": None, "text": "é😀" * 10_000, "empty": {}}
    with trace_scope() as trace, AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        published = client.events.publish("a", payload, 1, metadata={"n": 1.0})
        [stored] = client.traces.get_events(trace.trace_id)
    for event in (published, stored):
        assert repr(event.payload) == repr(payload)
        assert repr(event.metadata) == "{'n': 1.0}"


def test_an_event_published_again_with_its_dedup_key_counts_once(gateway_url: str):
    with trace_scope() as trace, AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        first = client.events.publish("a", {}, 1, dedup_key="once")
        again = client.events.publish("a", {}, 1, dedup_key="once")
        assert first.event_id == again.event_id
        assert client.traces.get_summary(trace.trace_id).total_events == 1
        assert len(client.traces.get_events(trace.trace_id)) == 1


def test_many_events_at_once(gateway_url: str):
    with trace_scope() as trace, AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        result = client.events.publish_many(
            {"identifier": f"step_{n}", "payload": {"n": n}, "channel_id": 1} for n in range(50)
        )
        assert (result.accepted, result.rejected, len(result.ids)) == (50, (), 50)
        assert client.traces.get_summary(trace.trace_id).total_events == 50


def test_the_first_error_is_named_with_its_step(gateway_url: str):
    with trace_scope() as trace, AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        for step in range(1, 6):
            kind = EventType.AGENT_ERROR if step == 4 else EventType.AGENT_MESSAGE
            client.events.publish(
                f"step_{step}", {}, 1, agent_id="writer", span_id=trace.next_span_id(), event_type=kind
            )
        summary = client.traces.get_summary(trace.trace_id)
    assert summary.error_count == 1
    assert summary.first_error is not None
    assert (summary.first_error.step, summary.first_error.identifier) == (4, "step_4")
    assert (summary.first_error.agent_id, str(summary.first_error.span_id)[-5:]) == ("writer", "_0004")


def test_wrong_keys_tenants_traces_and_pages_are_typed_errors(gateway_url: str):
    with (
        AxonPush(api_key="ak_wrong", tenant_id=TENANT, base_url=gateway_url) as client,
        pytest.raises(AuthenticationError),
    ):
        client.traces.list()
    with AxonPush(api_key=KEY, tenant_id="2", base_url=gateway_url) as client, pytest.raises(ForbiddenError):
        client.traces.list()
    with AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url) as client:
        with pytest.raises(NotFoundError):
            client.traces.get_summary(fresh_id())
        with pytest.raises(ValidationError):
            client.traces.list(limit=0)


def test_the_package_axonpush_unmodified(gateway_url: str):
    assert version("axonpush") == "0.0.9"
    trace_id = fresh_id()
    with axonpush.AxonPush(api_key=KEY, tenant_id=TENANT, base_url=gateway_url, fail_open=False) as client:
        trace = axonpush.get_or_create_trace(trace_id)
        for identifier in ("web_search", "summarize"):
            event = client.events.publish(
                identifier,
                {"query": "AI frameworks"},
                channel_id=1,
                agent_id="researcher",
                trace_id=trace.trace_id,
                span_id=trace.next_span_id(),
                event_type=axonpush.EventType.AGENT_TOOL_CALL_START,
            )
            assert event is not None
            assert isinstance(event.id, int)
        summary = client.traces.get_summary(trace_id)
        assert summary is not None
        assert (summary.event_count, summary.error_count, summary.tool_call_count) == (2, 0, 2)
        assert summary.agents == ["researcher"]
        [listed] = [t for t in client.traces.list(page=1, limit=20) if t.trace_id == trace_id]
        assert listed.event_count == 2
        events = client.traces.get_events(trace_id)
        assert [(e.identifier, e.payload) for e in events] == [
            ("web_search", {"query": "AI frameworks"}),
            ("summarize", {"query": "AI frameworks"}),
        ]


def test_the_package_axonpush_unmodified_async(gateway_url: str):
    trace_id = fresh_id()

    async def program() -> None:
        async with axonpush.AsyncAxonPush(
            api_key=KEY, tenant_id=TENANT, base_url=gateway_url, fail_open=False
        ) as client:
            trace = axonpush.get_or_create_trace(trace_id)
            for identifier in ("web_search", "summarize"):
                await client.events.publish(
                    identifier,
                    {"query": "AI agents"},
                    channel_id=1,
                    agent_id="researcher",
                    trace_id=trace.trace_id,
                    span_id=trace.next_span_id(),
                    event_type=axonpush.EventType.AGENT_TOOL_CALL_START,
                )
            summary = await client.traces.get_summary(trace_id)
            assert summary is not None
            assert (summary.event_count, summary.error_count, summary.tool_call_count) == (2, 0, 2)
            assert trace_id in [t.trace_id for t in await client.traces.list(page=1, limit=20)]
            assert [e.identifier for e in await client.traces.get_events(trace_id)] == ["web_search", "summarize"]

    contextvars.Context().run(lambda: asyncio.run(program()))

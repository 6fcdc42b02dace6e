"""`axonstream.testing`: what a server in memory collects, what a test may say of it, and the page that shows it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from threading import Thread

import httpx
import pytest

from axonstream import (
    APIConnectionError,
    AxonPush,
    Event,
    EventType,
    ServerError,
    current_trace,
    get_or_create_trace,
    trace_scope,
)
from axonstream.testing import Collected, MemoryServer, counted_ids, outside_of_traces, ticking

PAGE = Path(__file__).parents[2] / "docs/testing.md"


def test_both_clients_publish_to_it_and_read_from_it() -> None:
    server = MemoryServer()

    async def publish() -> int:
        async with server.async_client() as client:
            await client.events.publish("b", {}, 1, trace_id="tr_1")
            return (await client.traces.get_summary("tr_1")).total_events

    with server.client() as client:
        client.events.publish("a", {}, 1, trace_id="tr_1")
        assert asyncio.run(publish()) == 2
        assert [event.identifier for event in client.traces.get_events("tr_1")] == ["a", "b"]
    server.events.assert_identifiers("a", "b")


def test_a_repeat_is_collected_once_and_each_request_is_kept() -> None:
    server = MemoryServer()
    with server.client() as client:
        for identifier in ("first", "again"):
            client.events.publish(identifier, {}, 1, trace_id="tr_1", dedup_key="k")
    assert server.events.assert_one(dedup_key="k").identifier == "first"
    assert len(server.requests) == 2


def test_each_tenant_has_its_own() -> None:
    server = MemoryServer({"ak_a": "a", "ak_b": "b"})
    with server.client("ak_a") as one, server.client("ak_b") as other:
        one.events.publish("x", {}, 1, trace_id="tr_1")
        assert (len(one.traces.list()), len(other.traces.list())) == (1, 0)


def test_a_failure_that_passes_is_retried_and_one_that_lasts_is_an_error() -> None:
    server = MemoryServer()
    with server.client() as client:
        server.fail_next(503, times=2)
        client.events.publish("a", {}, 1)
        server.fail_next(httpx.ConnectError("refused"))
        client.events.publish("b", {}, 1)
        server.fail_next(500, times=4)
        with pytest.raises(ServerError) as caught:
            client.events.publish("c", {}, 1)
        assert caught.value.attempts == 4
    with server.client(max_retries=0) as client:
        server.fail_next(httpx.ConnectError("refused"))
        with pytest.raises(APIConnectionError):
            client.events.publish("d", {}, 1)
    server.events.assert_identifiers("a", "b")


def test_what_it_does_not_answer_says_so() -> None:
    with MemoryServer().client(max_retries=0) as client:
        with pytest.raises(ServerError, match="does not answer DELETE"):
            client.traces.delete("tr_1")
        with pytest.raises(ServerError, match="does not answer GET"), client.traces.subscribe("tr_1"):
            pass


def test_threads_share_it() -> None:
    server = MemoryServer()

    def publish() -> None:
        with server.client() as client:
            for _ in range(50):
                client.events.publish("a", {}, 1)

    threads = [Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.events) == 200


def some_events() -> Collected:
    server = MemoryServer()
    with server.client() as client:
        client.events.publish("plan", {"topic": "x", "more": 1}, 1, agent_id="planner", trace_id="tr_1")
        client.events.publish("plan", {}, 1, agent_id="writer", trace_id="tr_2", event_type=EventType.AGENT_ERROR)
    return server.events


def test_events_are_found_by_their_fields() -> None:
    events = some_events()
    assert isinstance(events.assert_one(payload={"topic": "x"}), Event)
    assert events.assert_one(event_type="agent.error").agent_id == "writer"
    assert [event.agent_id for event in events.of_trace("tr_1")] == ["planner"]
    events.assert_none(payload={"topic": "y"})
    with pytest.raises(TypeError, match="agentId"):
        events.having(agentId="planner")


def test_what_fails_shows_what_was_collected() -> None:
    events = some_events()
    with pytest.raises(AssertionError, match=r"(?s)2 events have identifier='plan', not 1\. Collected:.*planner.*wri"):
        events.assert_one(identifier="plan")
    with pytest.raises(AssertionError, match="0 events have agent_id='reader', not 1"):
        events.assert_one(agent_id="reader")
    with pytest.raises(AssertionError, match="1 events have agent_id='planner', not 0"):
        events.assert_none(agent_id="planner")
    with pytest.raises(AssertionError, match=r"the events are \('plan', 'plan'\), not \('plan',\)"):
        events.assert_identifiers("plan")
    with pytest.raises(AssertionError, match=r"Nothing was collected\."):
        Collected().assert_one()


def test_ids_and_times_are_the_same_in_each_run() -> None:
    def run() -> list[Event]:
        server = MemoryServer(clock=ticking(1_769_860_800_000, 5))
        with counted_ids(), outside_of_traces(), server.client() as client:
            client.events.publish("alone", {}, 1)
            with trace_scope() as trace:
                client.events.publish("in a scope", {}, 1, span_id=trace.next_span_id())
                client.events.publish("in a scope", {}, 1, span_id=trace.next_span_id())
        return list(server.events)

    first = run()
    assert first == run()
    assert [event.trace_id for event in first] == ["tr_0000000000000001", *["tr_0000000000000002"] * 2]
    assert [event.span_id for event in first[1:]] == ["sp_0000000000000002_0001", "sp_0000000000000002_0002"]
    assert first[2].dedup_key == f"{3:032x}"
    assert first[2].created_at is not None
    assert first[2].created_at.timestamp() == 1_769_860_800.010


def test_ids_are_random_again_after_the_block() -> None:
    with counted_ids():
        pass
    with trace_scope() as one, trace_scope() as other:
        assert one.trace_id != other.trace_id
        assert not one.trace_id.startswith("tr_000000000000")


def test_a_block_outside_of_traces_leaves_the_current_one_as_it_was() -> None:
    with trace_scope() as trace:
        with outside_of_traces():
            assert current_trace() is None
            get_or_create_trace()
        assert current_trace() is trace


def test_its_times_can_be_those_of_the_test() -> None:
    with MemoryServer(clock=lambda: 1_769_860_800_000).client() as client:
        event = client.events.publish("a", {}, 1)
    assert event.occurred_at == event.created_at


@pytest.mark.slow
def test_the_programs_of_its_page_run(tmp_path: Path) -> None:
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [conftest] = [block for block in blocks if "pytest_plugins" in block]
    (tmp_path / "conftest.py").write_text(conftest)
    tests = [block for block in blocks if "\ndef test_" in block]
    assert len(tests) + 1 == len(blocks)
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", tmp_path]
    done = subprocess.run([*command, tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert f"{len(tests)} passed" in done.stdout, done.stdout + done.stderr


def test_it_is_no_part_of_what_a_program_imports() -> None:
    code = "import sys, axonstream, axonstream.client; print('axonstream.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_a_client_that_a_program_makes_itself_takes_its_transport() -> None:
    server = MemoryServer()
    with AxonPush("ak_local", "1", transport=server.transport) as client:
        client.events.publish("a", {}, 1)
    server.clear()
    assert server.events == []

"""Trace ids, span ids, and who sees which trace. Every test runs its work in an empty context."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream import TraceContext, ValidationError, current_trace, get_or_create_trace, trace_scope

Result = TypeVar("Result")


def in_an_empty_context(work: Callable[[], Result]) -> Result:
    return contextvars.Context().run(work)


def test_a_new_trace_is_tr_and_16_hex_and_its_spans_count_from_one():
    trace = in_an_empty_context(get_or_create_trace)
    kind, digits = trace.trace_id.split("_")
    assert kind == "tr"
    assert len(digits) == 16
    assert int(digits, 16) >= 0
    assert [trace.next_span_id(), trace.next_span_id()] == [f"sp_{digits}_0001", f"sp_{digits}_0002"]


def test_the_id_may_be_injected():
    trace = in_an_empty_context(lambda: get_or_create_trace(new_id=lambda: "tr_00000000000000ff"))
    assert trace.next_span_id() == "sp_00000000000000ff_0001"


@given(st.text(min_size=1))
def test_any_id_gives_the_same_sensible_span_ids_in_every_service(trace_id: str):
    one, other = TraceContext(trace_id), TraceContext(trace_id)
    kind, digits, number = one.next_span_id().split("_")
    assert (kind, len(digits), number) == ("sp", 16, "0001")
    assert int(digits, 16) >= 0
    assert other.next_span_id() == f"sp_{digits}_0001"


def test_a_longer_hex_id_lends_its_first_16_digits():
    assert TraceContext("tr_0123456789abcdef0123456789abcdef").next_span_id() == "sp_0123456789abcdef_0001"


def test_the_span_hash_of_a_named_trace_never_changes():
    assert TraceContext("tr_pipeline_run_99").next_span_id() == "sp_3b4dcf1dd9f245b2_0001"


def test_past_9999_the_number_grows():
    trace = TraceContext("tr_0123456789abcdef")
    spans = [trace.next_span_id() for _ in range(10_000)]
    assert spans[9998:] == ["sp_0123456789abcdef_9999", "sp_0123456789abcdef_10000"]


def test_an_empty_id_is_refused():
    with pytest.raises(ValidationError, match="trace_id is empty"):
        get_or_create_trace("")


def test_called_functions_see_the_same_trace():
    def work() -> None:
        trace = get_or_create_trace()
        assert get_or_create_trace() is trace
        assert current_trace() is trace

    in_an_empty_context(work)


def test_asking_for_the_current_trace_makes_none():
    assert in_an_empty_context(current_trace) is None


def test_an_explicit_id_becomes_the_current_trace_and_asking_again_goes_on_counting():
    def work() -> None:
        before = get_or_create_trace()
        trace = get_or_create_trace("tr_run_42")
        assert trace is not before
        assert trace.next_span_id().endswith("_0001")
        assert get_or_create_trace("tr_run_42").next_span_id().endswith("_0002")
        assert get_or_create_trace() is trace

    in_an_empty_context(work)


def test_a_scope_ends_with_the_trace_that_was_before_also_after_an_error():
    def work() -> None:
        outer = get_or_create_trace()
        with trace_scope() as inner:
            assert inner.trace_id != outer.trace_id
            assert get_or_create_trace() is inner
        assert current_trace() is outer
        with trace_scope("tr_run_42") as named:
            assert named.trace_id == "tr_run_42"
        assert current_trace() is outer
        with pytest.raises(LookupError), trace_scope():
            raise LookupError
        assert current_trace() is outer

    in_an_empty_context(work)


def test_a_thread_in_a_copied_context_continues_the_trace():
    def work() -> None:
        trace = get_or_create_trace()
        seen: list[TraceContext] = []
        thread = Thread(target=contextvars.copy_context().run, args=(lambda: seen.append(get_or_create_trace()),))
        thread.start()
        thread.join()
        assert seen == [trace]

    in_an_empty_context(work)


def test_a_plain_thread_starts_without_a_trace():
    def work() -> None:
        get_or_create_trace()
        seen: list[TraceContext | None] = []
        thread = Thread(target=lambda: seen.append(contextvars.Context().run(current_trace)))
        thread.start()
        thread.join()
        assert seen == [None]

    in_an_empty_context(work)


def test_tasks_and_to_thread_continue_the_trace_that_spawned_them():
    async def child() -> TraceContext:
        return get_or_create_trace()

    async def parent() -> None:
        trace = get_or_create_trace()
        assert await asyncio.gather(child(), child(), asyncio.to_thread(get_or_create_trace)) == [trace] * 3

    in_an_empty_context(lambda: asyncio.run(parent()))


def test_sibling_tasks_do_not_see_each_others_trace_nor_does_their_parent():
    async def request(both_made: asyncio.Barrier) -> str:
        trace = get_or_create_trace()
        await both_made.wait()
        assert get_or_create_trace() is trace
        return trace.trace_id

    async def server() -> None:
        both_made = asyncio.Barrier(2)
        one, other = await asyncio.gather(request(both_made), request(both_made))
        assert one != other
        assert current_trace() is None

    in_an_empty_context(lambda: asyncio.run(server()))


def test_a_pool_thread_forgets_the_trace_of_a_request_in_a_scope():
    def request() -> str:
        with trace_scope():
            return get_or_create_trace().trace_id

    with ThreadPoolExecutor(1) as pool:
        ids = [pool.submit(request).result() for _ in range(5)]
        assert pool.submit(current_trace).result() is None
    assert len(set(ids)) == 5


def test_threads_that_share_a_trace_never_get_the_same_span():
    trace = TraceContext("tr_0123456789abcdef")
    together = Barrier(4)

    def spans() -> list[str]:
        together.wait()
        return [trace.next_span_id() for _ in range(500)]

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(spans) for _ in range(4)]
        every = [span for future in futures for span in future.result()]
    assert sorted(every) == [f"sp_0123456789abcdef_{number:04d}" for number in range(1, 2001)]
